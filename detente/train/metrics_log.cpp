// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/report/run_record.h>
#include <detente/train/metrics_log.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace detente::train {
namespace {

// The lines to keep: whole ones (a crash may have cut the last), of steps up to `last_step`. Those
// that are no lines of a log are left out and counted, from 1.
std::string lines_up_to(const std::string& content,
                        std::int64_t last_step,
                        std::vector<std::size_t>& left_out) {
  std::string kept;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    ++number;
    const std::size_t found = content.find('\n', begin);
    const bool whole = found != std::string::npos;
    const std::size_t end = whole ? found + 1 : content.size();
    const std::string line = content.substr(begin, end - begin);
    begin = end;
    const Json json = Json::parse(line, nullptr, false);
    if (!whole || !json.is_object()) {
      left_out.push_back(number);
    } else if (report::record_step(json) <= last_step) {
      kept += line;
    }
  }
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path,
                       std::int64_t last_step,
                       std::int64_t bytes)
    : path_(path) {
  std::string kept;
  if (last_step >= 0 && std::filesystem::exists(path)) {
    const std::string all = read_file(path);
    if (bytes >= 0 && static_cast<std::uint64_t>(bytes) <= all.size()) {
      kept = all.substr(0, static_cast<std::size_t>(bytes));
      std::vector<std::size_t> damaged;
      // Where someone has been at the file its bytes are not those that were counted.
      if (lines_up_to(kept, last_step, damaged) != kept) kept.clear();
    }
    if (kept.empty()) kept = lines_up_to(all, last_step, left_out_);
  }
  changed_ = last_step >= 0 && bytes >= 0 && kept.size() != static_cast<std::size_t>(bytes);
  write_own_file(path, kept);
  bytes_ = static_cast<std::int64_t>(kept.size());
  fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
  DETENTE_CHECK(fd_ >= 0,
                ErrorCode::kIo,
                "[train::MetricsLog] cannot open '{}' for writing: {}.",
                path.string(),
                std::strerror(errno));
}

MetricsLog::~MetricsLog() {
  if (fd_ >= 0) ::close(fd_);
}

void MetricsLog::write(const Json& line) {
  const std::string text = json_text(line, -1) + "\n";
  const int error = write_all(fd_, text);
  DETENTE_CHECK(error == 0,
                ErrorCode::kIo,
                "[train::MetricsLog] cannot write to '{}': {}. Free some space and go on with "
                "--resume.",
                path_.string(),
                std::strerror(error));
  bytes_ += static_cast<std::int64_t>(text.size());
}

void MetricsLog::sync() {
  DETENTE_CHECK(::fdatasync(fd_) == 0 || errno == EINVAL || errno == EROFS,
                ErrorCode::kIo,
                "[train::MetricsLog] cannot bring '{}' to the disk: {}.",
                path_.string(),
                std::strerror(errno));
}

}  // namespace detente::train
