// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/file_writer.h>
#include <detente/core/internal/temporary.h>
#include <detente/core/whole_number.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace detente {
namespace {

[[noreturn]] void cannot_write(const std::filesystem::path& path, const char* doing, int error) {
  fail(ErrorCode::kIo,
       "[core::write_file_atomic] cannot {} '{}': {}.",
       doing,
       path.string(),
       std::strerror(error));
}

// The number of /proc/self/fd/NUMBER, by whatever name of that folder.
std::optional<int> own_descriptor(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const auto number = whole_number<int>(name);
  if (!number || *number < 0) return std::nullopt;
  std::error_code error;
  if (!std::filesystem::equivalent(path.parent_path(), "/proc/self/fd", error)) return std::nullopt;
  return number;
}

}  // namespace

struct FileWriter::State {
  State() = default;
  ~State() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
    if (borrowed) file.release();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  [[noreturn]] void give_up(const char* doing, int error) {
    if (!replaces) cannot_write(path, doing, error);
    if (!temporary.empty()) ::unlink(std::exchange(temporary, {}).c_str());
    fail(ErrorCode::kIo,
         "[core::write_file_atomic] cannot {} '{}': {}. The earlier file, if any, is untouched.",
         doing,
         path.string(),
         std::strerror(error));
  }
  std::filesystem::path folder() const {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  }
  // `found`: what stands at `path`, a regular file; none: nothing does.
  void begin_replacing(const std::optional<struct stat>& found);
  void write_to(int descriptor, bool of_others) {
    file.take(descriptor);
    borrowed = of_others;
  }

  std::filesystem::path path;
  internal::FileDescriptor file{-1};
  bool borrowed = false;  // the descriptor is not ours to close
  bool replaces = false;  // by a rename
  std::filesystem::path temporary;
  std::optional<struct stat> earlier;
};

void FileWriter::State::begin_replacing(const std::optional<struct stat>& found) {
  replaces = true;
  earlier = found;
  // What others may not read now they may not read on its way either.
  const mode_t mode = earlier ? 0600 : 0666;
  int opened = -1;
  const internal::Temporary made = internal::make_temporary(folder(), [&](const char* name) {
    opened = ::open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return opened >= 0;
  });
  if (made.error != 0) give_up("create", made.error);
  temporary = made.path;
  file.take(opened);
}

FileWriter::FileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileWriter::~FileWriter() = default;
FileWriter::FileWriter(FileWriter&&) noexcept = default;

FileWriter::FileWriter(const std::filesystem::path& target) : state_(std::make_unique<State>()) {
  struct stat found {};
  // Asked of the system and not of our own walk below: it refuses links of others in shared folders.
  const bool there = ::stat(target.c_str(), &found) == 0;
  if (!there && errno != ENOENT) cannot_write(target, "open", errno);
  std::filesystem::path path = target;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    if (links == 40) cannot_write(target, "open", ELOOP);
    if (const auto number = own_descriptor(path)) {
      state_->path = target;
      state_->write_to(*number, true);
      return;
    }
    path = path.parent_path() / std::filesystem::read_symlink(path, error);
  }
  if (there && S_ISDIR(found.st_mode)) cannot_write(target, "write", EISDIR);
  if (there && !S_ISREG(found.st_mode)) {
    // Devices and pipes are written to: a rename would put a file in their place.
    const int opened = ::open(target.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (opened < 0) cannot_write(target, "open", errno);
    state_->path = target;
    state_->write_to(opened, false);
    return;
  }
  // A rename asks the folder alone; a file that is protected is meant to be.
  if (there && ::access(target.c_str(), W_OK) != 0) cannot_write(target, "write", errno);
  state_->path = path;
  state_->begin_replacing(there ? std::optional(found) : std::nullopt);
}

FileWriter FileWriter::own_file(const std::filesystem::path& path) {
  struct stat found {};
  const bool there = ::lstat(path.c_str(), &found) == 0;
  if (there && S_ISDIR(found.st_mode)) cannot_write(path, "write", EISDIR);
  const bool regular = there && S_ISREG(found.st_mode);
  if (regular && ::access(path.c_str(), W_OK) != 0) cannot_write(path, "write", errno);
  auto state = std::make_unique<State>();
  state->path = path;
  state->begin_replacing(regular ? std::optional(found) : std::nullopt);
  return FileWriter(std::move(state));
}

void FileWriter::write(std::string_view content) {
  if (const int error = write_all(state_->file.get(), content)) state_->give_up("write", error);
}

void FileWriter::finish() {
  State& state = *state_;
  if (state.borrowed) return;
  if (!state.replaces) {
    if (::close(state.file.release()) != 0) state.give_up("close", errno);
    return;
  }
  const int file = state.file.get();
  if (state.earlier) {
    // Only root can give a file away, and some file systems have no modes: the content matters more.
    if (::fchown(file, state.earlier->st_uid, state.earlier->st_gid) != 0) errno = 0;
    if (::fchmod(file, state.earlier->st_mode & 0777) != 0) errno = 0;
  }
  if (::fsync(file) != 0) state.give_up("flush", errno);
  if (::close(state.file.release()) != 0) state.give_up("close", errno);
  if (::rename(state.temporary.c_str(), state.path.c_str()) != 0) state.give_up("rename", errno);
  state.temporary.clear();
  flush_folder(state.folder());
}

}  // namespace detente
