// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/whole_number.h>
#include <detente/slides/area_mean.h>
#include <detente/slides/internal/confine.h>
#include <detente/slides/internal/info_json.h>
#include <detente/slides/internal/protocol.h>
#include <detente/slides/openslide.h>
#include <detente/slides/slide_worker.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <list>
#include <memory>
#include <optional>
#include <utility>

namespace detente::slides {
namespace {

using internal::MessageHead;
using internal::PictureOrder;

// OpenSlide reads what is larger in pieces of this side from the region's corner; so do we, so that both give
// the same pixels where a level's downsample is no whole number.
constexpr std::int64_t kBlock = 4096;
constexpr std::size_t kMostSums = std::size_t{1} << 26;

struct WorkerLimits {
  std::size_t handles = 32;
  std::size_t cache_mib = 1024;
  std::size_t memory_mib = 4096;
};

std::optional<WorkerLimits> limits_of(const std::vector<std::string>& arguments) {
  WorkerLimits limits;
  if (arguments.size() != 6) return std::nullopt;
  for (std::size_t i = 0; i < 6; i += 2) {
    const auto value = whole_number<std::size_t>(arguments[i + 1]);
    if (!value || *value == 0) return std::nullopt;
    (arguments[i] == "--handles"     ? limits.handles
     : arguments[i] == "--cache-mib" ? limits.cache_mib
                                     : limits.memory_mib) = *value;
  }
  return limits;
}

void limit(__rlimit_resource what, rlim_t most) {
  const rlimit both{most, most};
  ::setrlimit(what, &both);
}

void limit_process(const WorkerLimits& limits) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  limit(RLIMIT_CORE, 0);
  // Writing to a file is an error then, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  limit(RLIMIT_FSIZE, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  limit(RLIMIT_AS, static_cast<rlim_t>(limits.memory_mib) << 20U);
#else
  static_cast<void>(limits);    // their shadow memory is larger
#endif
}

// One end of the socket.
class Line {
 public:
  // False where the other end is closed.
  bool read(char* to, std::size_t size, int* descriptor) {
    while (size > 0) {
      iovec part{to, size};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t count = ::recvmsg(STDIN_FILENO, &message, MSG_CMSG_CLOEXEC);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      const cmsghdr* header = CMSG_FIRSTHDR(&message);
      if (header != nullptr && header->cmsg_type == SCM_RIGHTS && descriptor != nullptr) {
        std::memcpy(descriptor, CMSG_DATA(header), sizeof(int));
      }
      to += count;
      size -= static_cast<std::size_t>(count);
    }
    return true;
  }

  void write(const std::string& bytes) {
    std::string_view left = bytes;
    while (!left.empty()) {
      const ssize_t count = ::send(STDIN_FILENO, left.data(), left.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) std::exit(0);  // nobody works with it any more
      left.remove_prefix(static_cast<std::size_t>(count));
    }
  }
};

class SlideWorker {
 public:
  explicit SlideWorker(const WorkerLimits& limits)
      : cache_(library_, limits.cache_mib << 20U), most_handles_(limits.handles) {
    // Without a shared cache each handle has one of 32 MiB.
    if (!library_.has_shared_cache()) {
      most_handles_ = std::clamp<std::size_t>(limits.cache_mib / 32, 1, limits.handles);
    }
  }

  Json hello(bool confined) const {
    return {{"protocol", internal::kProtocol},
            {"confined", confined},
            {"openslide", library_.version()},
            {"library", library_.file()},
            {"shared_cache", library_.has_shared_cache()}};
  }

  // The answer to an order.
  std::string answer(const MessageHead& head, std::string_view text, int descriptor) {
    const char kind = static_cast<char>(head.kind);
    std::string file;
    try {
      if (kind == 'M') {
        map(text, descriptor);
        return {};
      }
      if (kind == 'O') {
        file = text;
        return internal::message('I', head.ticket, internal::text_of(opened(file).info()));
      }
      PictureOrder order;
      std::string name;
      std::uint32_t length = 0;
      DETENTE_CHECK(
          (kind == 'R' || kind == 'A') && internal::take_from(text, order) &&
              (kind == 'R' || (internal::take_from(text, length) && length <= text.size())),
          ErrorCode::kInvalidArgument,
          "no order of this protocol");
      name = text.substr(0, length);
      file = text.substr(length);
      const bool was_open = kind == 'A' ? associated(file, order, name) : region(file, order);
      return internal::message(
          'D', head.ticket, internal::bytes_of(static_cast<std::uint32_t>(was_open ? 1 : 0)));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInvalidArgument) {
        return internal::message('W', head.ticket, error.what());
      }
      return internal::message('N', head.ticket, give_up(file, error.what()));
    } catch (const std::bad_alloc&) {
      return internal::message(
          'N', head.ticket, give_up(file, "it takes more memory than a worker may have"));
    }
  }

 private:
  struct Opened {
    std::string file;
    std::unique_ptr<OpenSlideFile> slide;
  };

  void map(std::string_view text, int descriptor) {
    std::uint64_t size = 0;
    struct stat status {};
    DETENTE_CHECK(internal::take_from(text, size) && descriptor >= 0 &&
                      ::fstat(descriptor, &status) == 0 &&
                      static_cast<std::uint64_t>(status.st_size) == size,
                  ErrorCode::kInvalidArgument,
                  "no memory of that size");
    if (memory_ != nullptr) ::munmap(memory_, size_);
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ::close(descriptor);
    memory_ = memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(memory);
    size_ = memory_ == nullptr ? 0 : static_cast<std::size_t>(size);
  }

  // What has been ordered of it already finds the reason, instead of the next thing to go wrong.
  std::string give_up(const std::string& file, const std::string& why) {
    open_.remove_if([&](const Opened& one) { return one.file == file; });
    bad_ = {file, why};
    return why;
  }

  // The one used last stands first.
  OpenSlideFile& opened(const std::string& file, bool* was_open = nullptr) {
    const auto found = std::find_if(
        open_.begin(), open_.end(), [&](const Opened& one) { return one.file == file; });
    if (was_open != nullptr) *was_open = found != open_.end();
    if (found != open_.end()) {
      open_.splice(open_.begin(), open_, found);
      return *open_.front().slide;
    }
    const std::string problem = file == bad_.first ? bad_.second : why_no_file(file);
    DETENTE_CHECK(problem.empty(), ErrorCode::kData, "{}", problem);
    while (open_.size() >= most_handles_) open_.pop_back();
    open_.push_front({file, std::make_unique<OpenSlideFile>(library_, cache_, file)});
    return *open_.front().slide;
  }

  std::uint8_t* place(const PictureOrder& order) const {
    const bool fits =
        order.out_width >= 1 && order.out_height >= 1 &&
        order.out_width <= internal::kLongestOutSide &&
        order.out_height <= internal::kLongestOutSide && order.offset <= size_ &&
        static_cast<std::uint64_t>(order.out_width * order.out_height) * 3 <= size_ - order.offset;
    DETENTE_CHECK(fits,
                  ErrorCode::kInvalidArgument,
                  "a picture of {} x {} pixels has no room",
                  order.out_width,
                  order.out_height);
    return memory_ + order.offset;
  }

  bool associated(const std::string& file, const PictureOrder& order, const std::string& name) {
    std::uint8_t* const out = place(order);
    bool was_open = false;
    const OpenSlideFile& slide = opened(file, &was_open);
    pixels_.resize(static_cast<std::size_t>(order.out_width * order.out_height));
    slide.read_associated(pixels_, name, order.out_width, order.out_height);
    lay_over_background(pixels_, slide.background(), out);
    return was_open;
  }

  bool region(const std::string& file, const PictureOrder& order) {
    std::uint8_t* const out = place(order);
    DETENTE_CHECK(order.width >= order.out_width && order.height >= order.out_height &&
                      order.width <= internal::kMostRegionPixels / order.height,
                  ErrorCode::kInvalidArgument,
                  "a region of {} x {} pixels cannot be read",
                  order.width,
                  order.height);
    bool was_open = false;
    const OpenSlideFile& slide = opened(file, &was_open);
    DETENTE_CHECK(order.level >= 0 && order.level < static_cast<std::int64_t>(slide.levels()),
                  ErrorCode::kInvalidArgument,
                  "there is no level {}; expected 0 to {}",
                  order.level,
                  slide.levels() - 1);
    const int level = static_cast<int>(order.level);
    const bool whole = order.out_width == order.width && order.out_height == order.height;
    AreaMean mean(order.width, order.height, order.out_width, order.out_height, out);
    const double downsample = slide.downsample(level);
    std::int64_t rows = kBlock;
    while (!whole && rows > 1 && rows > mean.rows_within(kMostSums)) rows /= 2;
    for (std::int64_t row = 0; row < order.height; row += rows) {
      const std::int64_t high = std::min(rows, order.height - row);
      const auto y = order.y + static_cast<std::int64_t>(static_cast<double>(row) * downsample);
      if (!whole) mean.begin_strip(high);
      for (std::int64_t column = 0; column < order.width; column += kBlock) {
        const std::int64_t wide = std::min(kBlock, order.width - column);
        const auto x =
            order.x + static_cast<std::int64_t>(static_cast<double>(column) * downsample);
        pixels_.resize(static_cast<std::size_t>(wide * high));
        slide.read(pixels_, x, y, level, wide, high);
        for (std::int64_t i = 0; i < high; ++i) {
          const auto line = std::span(pixels_).subspan(static_cast<std::size_t>(i * wide),
                                                       static_cast<std::size_t>(wide));
          if (whole) {
            lay_over_background(
                line, slide.background(), out + ((row + i) * order.width + column) * 3);
            continue;
          }
          line_.resize(static_cast<std::size_t>(wide) * 3);
          lay_over_background(line, slide.background(), line_.data());
          mean.add(i, column, line_);
        }
      }
      if (!whole) mean.end_strip();
    }
    return was_open;
  }

  OpenSlideLibrary library_;
  OpenSlideCache cache_;
  std::size_t most_handles_;
  std::list<Opened> open_;
  std::pair<std::string, std::string> bad_;  // the slide given up last, and why
  std::uint8_t* memory_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::uint32_t> pixels_;
  std::vector<std::uint8_t> line_;
};

}  // namespace

std::string why_no_file(const std::string& file) {
  struct stat status {};
  if (file.empty()) return "the name is empty";
  if (file.find('\0') != std::string::npos) return "the name has a zero byte in it";
  if (::stat(file.c_str(), &status) != 0) {
    return errno == ENOENT ? "there is no such file" : std::strerror(errno);
  }
  if (S_ISDIR(status.st_mode)) return "it is a folder; expected a slide's file";
  if (!S_ISREG(status.st_mode)) return "it is no regular file (a device, a pipe, a socket)";
  if (status.st_size == 0) return "it is empty";
  if (::access(file.c_str(), R_OK) != 0) return std::strerror(errno);
  return {};
}

std::string find_slide_worker() {
  const auto runs = [](const std::filesystem::path& file) {
    struct stat status {};
    return ::stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           ::access(file.c_str(), X_OK) == 0;
  };
  const char* named = std::getenv("DETENTE_SLIDE_WORKER");
  if (named != nullptr && *named != '\0') {
    DETENTE_CHECK(
        runs(named),
        ErrorCode::kIo,
        "[slides::find_slide_worker] DETENTE_SLIDE_WORKER names '{}', which is no program that "
        "can be run here. Unset it, or name the file detente-slide-worker.",
        named);
    return named;
  }
  const std::filesystem::path folder = own_program().parent_path();
  std::vector<std::filesystem::path> folders = {
      folder, folder.parent_path() / "libexec", folder.parent_path() / "bin"};
  // In Python the program is Python's; this code lies in the package, the programs in its bin.
  Dl_info own{};
  if (::dladdr(reinterpret_cast<const void*>(&find_slide_worker), &own) != 0 &&
      own.dli_fname != nullptr && *own.dli_fname == '/') {
    const auto package = std::filesystem::path(own.dli_fname).parent_path();
    if (package != folder) folders.push_back(package / "bin");
  }
  std::string places;
  for (const std::filesystem::path& place : folders) {
    const std::filesystem::path file = place / "detente-slide-worker";
    if (runs(file)) return file.string();
    places += (places.empty() ? "'" : ", '") + file.string() + "'";
  }
  fail(ErrorCode::kIo,
       "[slides::find_slide_worker] slides are decoded in a program of its own, "
       "detente-slide-worker, "
       "which is not there; looked for {}. It is installed beside detente: name its file by "
       "DETENTE_SLIDE_WORKER.",
       places);
}

int run_slide_worker(const std::vector<std::string>& arguments) {
  const auto limits = limits_of(arguments);
  struct stat status {};
  if (!limits || ::fstat(STDIN_FILENO, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    std::fputs("detente-slide-worker decodes slides for detente, which starts it.\n", stderr);
    return 2;
  }
  ::close_range(3, ~0U, 0);
  limit_process(*limits);
  Line line;
  std::unique_ptr<SlideWorker> worker;
  try {
    worker = std::make_unique<SlideWorker>(*limits);
  } catch (const Error& error) {
    const Json hello = {{"protocol", internal::kProtocol}, {"problem", error.what()}};
    line.write(internal::message('H', 0, json_text(hello, -1)));
    return 0;
  }
  // Once the library is there, and before the first file of anybody.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const bool confined = internal::confine_process();
#else
  const bool confined = false;  // their reports at the end take another process
#endif
  line.write(internal::message('H', 0, json_text(worker->hello(confined), -1)));
  for (;;) {
    MessageHead head;
    int descriptor = -1;
    if (!line.read(reinterpret_cast<char*>(&head), sizeof head, &descriptor)) return 0;
    if (head.size > internal::kLongestMessage) return 2;
    std::string text(head.size, '\0');
    if (!line.read(text.data(), text.size(), nullptr)) return 0;
    const std::string answer = worker->answer(head, text, descriptor);
    if (!answer.empty()) line.write(answer);
  }
}

}  // namespace detente::slides
