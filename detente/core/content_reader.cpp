// SPDX-License-Identifier: Apache-2.0
#include <detente/core/content_reader.h>
#include <detente/core/error.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace detente {
namespace {

constexpr std::size_t kChunk = 1 << 16;
constexpr std::string_view kGzipBegin = "\x1f\x8b";

[[noreturn]] void give_up(const char* doing, const std::string& name, int error) {
  fail(ErrorCode::kIo, "[core::read_file] cannot {} '{}': {}.", doing, name, std::strerror(error));
}

// A signal may interrupt the call, which then has done nothing.
int open_patiently(const std::filesystem::path& path) {
  for (;;) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file >= 0 || errno != EINTR) return file;
  }
}

class Inflater {
 public:
  Inflater() {
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, kGzipOnly + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream* operator->() { return &stream_; }
  int step() { return inflate(&stream_, Z_NO_FLUSH); }
  void next_member() { inflateReset(&stream_); }

 private:
  z_stream stream_{};
};

}  // namespace

struct ContentReader::State {
  State(std::string shown, int descriptor, bool own)
      : name(std::move(shown)), file(descriptor), owned(own) {
    struct stat status {};
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
      size = static_cast<std::size_t>(status.st_size);
    }
  }
  ~State() {
    if (owned) ::close(file);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Bytes as they lie that nothing has used yet; fetches more where there are fewer than `wanted`, and
  // returns fewer at the end of the file alone.
  std::string_view ahead(std::size_t wanted) {
    if (end - begin < wanted && begin > 0) {
      std::memmove(buffer.data(), buffer.data() + begin, end - begin);
      end -= begin;
      begin = 0;
    }
    while (end - begin < wanted && !ended) {
      const ssize_t n = ::read(file, buffer.data() + end, buffer.size() - end);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) give_up("read", name, errno);
      ended = n == 0;
      end += static_cast<std::size_t>(n);
      taken += static_cast<std::size_t>(n);
    }
    return {buffer.data() + begin, end - begin};
  }

  bool inflate_some(std::string& content, std::size_t most);

  std::string name;
  int file;
  bool owned;
  std::optional<std::size_t> size;
  std::vector<char> buffer = std::vector<char>(kChunk);
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t taken = 0;
  bool ended = false;  // the descriptor has no more
  bool started = false;
  std::unique_ptr<Inflater> inflater;
  bool finished = false;  // the last gzip member is
};

bool ContentReader::State::inflate_some(std::string& content, std::size_t most) {
  const std::size_t before = content.size();
  content.resize(before + most);
  std::size_t made = 0;
  while (made == 0 && !finished) {
    const std::string_view packed = ahead(1);
    (*inflater)->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    (*inflater)->avail_in = static_cast<uInt>(packed.size());
    (*inflater)->next_out = reinterpret_cast<Bytef*>(content.data() + before);
    (*inflater)->avail_out = static_cast<uInt>(most);
    const int code = inflater->step();
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    begin += packed.size() - (*inflater)->avail_in;
    made = most - (*inflater)->avail_out;
    if (code == Z_STREAM_END) {
      const std::string_view rest = ahead(kGzipBegin.size());
      finished = rest.empty();
      DETENTE_CHECK(
          finished || rest.starts_with(kGzipBegin),
          ErrorCode::kData,
          "[core::read_file] '{}' holds bytes after the end of its gzip stream (from byte {} of "
          "the "
          "file on), which belong to nothing. It is damaged or was joined wrongly; fetch it again.",
          name,
          taken - rest.size() + 1);
      inflater->next_member();
      continue;
    }
    DETENTE_CHECK(code == Z_OK || code == Z_BUF_ERROR,
                  ErrorCode::kData,
                  "[core::read_file] cannot read '{}': {}. The file is damaged or cut short.",
                  name,
                  (*inflater)->msg == nullptr ? "not a gzip stream" : (*inflater)->msg);
    DETENTE_CHECK(made > 0 || !ahead(1).empty(),
                  ErrorCode::kData,
                  "[core::read_file] '{}' ends in the middle of its gzip stream; fetch it again.",
                  name);
  }
  content.resize(before + made);
  return made > 0;
}

ContentReader::ContentReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ContentReader::~ContentReader() = default;
ContentReader::ContentReader(ContentReader&&) noexcept = default;

ContentReader::ContentReader(const std::filesystem::path& path) {
  std::error_code ignored;
  DETENTE_CHECK(!std::filesystem::is_directory(path, ignored),
                ErrorCode::kIo,
                "[core::read_file] '{}' is a folder; expected a file.",
                path.string());
  const int file = open_patiently(path);
  if (file < 0) give_up("open", path.string(), errno);
  state_ = std::make_unique<State>(path.string(), file, true);
}

ContentReader ContentReader::standard_input() {
  return ContentReader(std::make_unique<State>("standard input", STDIN_FILENO, false));
}

bool ContentReader::read(std::string& content, std::size_t most) {
  State& state = *state_;
  if (!state.started) {
    state.started = true;
    if (state.ahead(kGzipBegin.size()).starts_with(kGzipBegin)) {
      state.inflater = std::make_unique<Inflater>();
    }
  }
  // zlib counts in 32 bits.
  most = std::min<std::size_t>(most, std::size_t{1} << 30U);
  if (state.inflater) return state.inflate_some(content, most);
  const std::string_view plain = state.ahead(1);
  const std::size_t given = std::min(plain.size(), most);
  content.append(plain.substr(0, given));
  state.begin += given;
  return given > 0;
}

std::size_t ContentReader::taken() const { return state_->taken; }
std::optional<std::size_t> ContentReader::size() const { return state_->size; }
bool ContentReader::packed() const { return state_->inflater != nullptr; }

}  // namespace detente
