// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/serve/folder.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace detente::serve {

namespace fs = std::filesystem;

OpenFile::OpenFile(int descriptor) : descriptor_(descriptor) { ::fstat(descriptor_, &facts_); }
OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}
OpenFile::OpenFile(OpenFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), facts_(other.facts_) {}

std::string OpenFile::version() const {
  return fmt::format(
      "{}-{}-{}-{}", facts_.st_ino, facts_.st_size, facts_.st_mtim.tv_sec, facts_.st_mtim.tv_nsec);
}

double OpenFile::modified() const {
  return static_cast<double>(facts_.st_mtim.tv_sec) +
         1e-9 * static_cast<double>(facts_.st_mtim.tv_nsec);
}

std::string OpenFile::read(std::uint64_t from, std::size_t bytes) const {
  std::string out(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, bytes - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  out.resize(done);
  return out;
}

Folder::Folder(const fs::path& path) {
  std::error_code error;
  path_ = fs::canonical(path, error);
  if (!error) descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DETENTE_CHECK(
      descriptor_ >= 0,
      ErrorCode::kIo,
      "[serve::Folder] cannot open the folder '{}': {}. Expected a run's folder, a folder "
      "of runs, or one that `detente compare --methods` has made.",
      path.string(),
      error ? error.message() : std::strerror(errno));
}

Folder::~Folder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

// Step by step without following a link, so that nothing that is put there meanwhile leads outside.
// A descriptor, or -1.
int Folder::walk(const Segments& segments, int last_flags) const {
  int at = ::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  for (std::size_t i = 0; at >= 0 && i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    const int flags = last ? last_flags : O_RDONLY | O_DIRECTORY;
    const int next =
        ::openat(at, segments[i].c_str(), flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const int reason = errno;
    ::close(at);
    errno = reason;
    at = next;
  }
  return at;
}

int Folder::find(const Segments& segments, int last_flags) const {
  for (const auto& name : segments) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      return -1;
    }
  }
  const int direct = walk(segments, last_flags);
  if (direct >= 0 || (errno != ELOOP && errno != ENOTDIR)) return direct;
  // A link on the way: where it leads counts, and the way there is walked like any other.
  std::error_code error;
  const fs::path target = fs::canonical(path_ / joined(segments), error);
  if (error) return -1;
  const auto [end, rest] = std::mismatch(path_.begin(), path_.end(), target.begin(), target.end());
  if (end != path_.end()) return -1;
  Segments inside;
  for (auto name = rest; name != target.end(); ++name) inside.push_back(name->string());
  return walk(inside, last_flags);
}

std::optional<OpenFile> Folder::open(const Segments& segments) const {
  const int descriptor = find(segments, O_RDONLY);
  if (descriptor < 0) return std::nullopt;
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    ::close(descriptor);
    return std::nullopt;
  }
  return OpenFile(descriptor);
}

std::optional<std::string> Folder::text(const Segments& segments, std::size_t limit) const {
  const auto file = open(segments);
  if (!file || file->size() > limit) return std::nullopt;
  return file->read(0, static_cast<std::size_t>(file->size()));
}

bool Folder::has_folder(const Segments& segments) const {
  const int descriptor = find(segments, O_RDONLY | O_DIRECTORY);
  if (descriptor >= 0) ::close(descriptor);
  return descriptor >= 0;
}

std::optional<std::string> content_type_of(const Segments& segments) {
  static constexpr std::array<std::pair<const char*, const char*>, 14> kTypes{{
      {".html", "text/html; charset=utf-8"},
      {".json", "application/json"},
      {".jsonl", "text/plain; charset=utf-8"},
      {".csv", "text/csv; charset=utf-8"},
      {".tsv", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".tex", "text/plain; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"},
      {".log", "text/plain; charset=utf-8"},
      {".yaml", "text/plain; charset=utf-8"},
      {".yml", "text/plain; charset=utf-8"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".pdf", "application/pdf"},
  }};
  if (segments.empty()) return std::nullopt;
  for (const auto& name : segments) {
    if (name.front() == '.') return std::nullopt;
    if (name == "snapshots" || name == "cache") return std::nullopt;
  }
  const std::string extension = lower_ascii(fs::path(segments.back()).extension().string());
  for (const auto& [known, type] : kTypes) {
    if (extension == known) return type;
  }
  return std::nullopt;
}

}  // namespace detente::serve
