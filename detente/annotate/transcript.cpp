// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/transcript.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/fnv.h>
#include <detente/core/json_text.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

namespace detente::annotate {
namespace {

constexpr const char* kTranscriptFormat = "detente-transcript-1";

std::string first_line() { return json_text(Json{{"format", kTranscriptFormat}}, -1); }

FailureKind kind_of(const std::string& name) {
  for (const FailureKind kind :
       {FailureKind::kPassing, FailureKind::kRefused, FailureKind::kFatal}) {
    if (name == name_of(kind)) return kind;
  }
  return FailureKind::kStopped;
}

}  // namespace

Entry make_entry(const CallKey& key,
                 const std::string& endpoint,
                 const Json& request,
                 const Json& tries,
                 double seconds,
                 const Reply& reply) {
  Entry entry{key, json_text(request, -1), reply, ""};
  Json line{{"row", key.row},
            {"task", key.task},
            {"call", key.call},
            {"hash", hash_text(fnv1a(entry.request))},
            {"endpoint", endpoint},
            {"request", request},
            {"tries", tries},
            {"seconds", std::round(seconds * 1000) / 1000}};
  if (reply.answer) {
    line["answer"] = reply.answer->to_json();
  } else {
    line["failure"] = {{"kind", name_of(reply.failure.kind)},
                       {"message", reply.failure.message},
                       {"status", reply.failure.status}};
  }
  entry.line = json_text(line, -1);
  return entry;
}

Transcript::~Transcript() {
  if (file_ >= 0) ::close(file_);
}

void Transcript::keep(Entry entry) {
  by_request_.insert_or_assign(entry.request, entry.key);
  CallKey key = entry.key;
  entries_.insert_or_assign(std::move(key), std::move(entry));
}

void Transcript::take_line(const std::string& line, std::size_t number, const std::string& source) {
  const auto demand = [&](bool good, const std::string& what) {
    DETENTE_CHECK(good,
                  ErrorCode::kData,
                  "[annotate::Transcript] line {} of '{}' {}; expected a transcript that `detente "
                  "annotate` wrote.",
                  number,
                  source,
                  what);
  };
  const Json json = Json::parse(line, nullptr, false);
  demand(!json.is_discarded() && json.is_object(), "is no JSON object");
  if (number == 1) {
    demand(json.value("format", Json()) == kTranscriptFormat,
           std::string("does not say \"format\": \"") + kTranscriptFormat + "\"");
    return;
  }
  try {
    Entry entry;
    entry.key = {json.at("row").get<std::int64_t>(),
                 json.at("task").get<std::string>(),
                 json.at("call").get<std::int64_t>()};
    entry.request = json_text(json.at("request"), -1);
    entry.line = line;
    if (json.contains("answer")) {
      entry.reply.answer = ChatAnswer::from_json(json.at("answer"));
    } else {
      const Json& failure = json.at("failure");
      entry.reply.failure = {kind_of(failure.at("kind").get<std::string>()),
                             failure.at("message").get<std::string>(),
                             failure.at("status").get<int>()};
    }
    keep(std::move(entry));
  } catch (const Json::exception& error) {
    demand(false, error.what());
  } catch (const Error& error) {
    demand(false, error.what());
  }
}

void Transcript::read(const std::filesystem::path& path) { take(read_file(path), path.string()); }

void Transcript::take(const std::string& content, const std::string& source) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = content.find('\n', at);
    if (end == std::string::npos) break;
    take_line(content.substr(at, end - at), ++number, source);
    at = end + 1;
  }
  DETENTE_CHECK(number > 0,
                ErrorCode::kData,
                "[annotate::Transcript] '{}' holds no call; expected a transcript that `detente "
                "annotate` wrote.",
                source);
}

void Transcript::open(const std::filesystem::path& path, bool resume) {
  const auto refuse = [&](const char* what) {
    fail(ErrorCode::kIo,
         "[annotate::Transcript] '{}' cannot be written: {}.",
         path.string(),
         std::strcmp(what, "") == 0 ? std::strerror(errno) : what);
  };
  // Not through a link, and not waiting for a pipe's other end.
  const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file_ = ::open(path.c_str(), flags, 0666);
  if (file_ < 0) refuse(errno == ELOOP ? "it is a link; name a plain file" : "");
  struct stat status {};
  if (::fstat(file_, &status) != 0) refuse("");
  if (!S_ISREG(status.st_mode)) refuse("it is no plain file");
  DETENTE_CHECK(::flock(file_, LOCK_EX | LOCK_NB) == 0,
                ErrorCode::kInvalidArgument,
                "[annotate::Transcript] another process is writing '{}'. Wait for it, or name "
                "another --out.",
                path.string());
  path_ = path;
  off_t kept = 0;
  if (resume && status.st_size > 0) {
    const std::string content = read_file(path);
    const std::size_t last = content.rfind('\n');
    kept = last == std::string::npos ? 0 : static_cast<off_t>(last + 1);
    if (kept > 0) take(content, path.string());
  }
  if (::ftruncate(file_, kept) != 0) refuse("");
  if (kept == 0) {
    if (const int error = write_all(file_, first_line() + "\n"); error != 0) {
      refuse(std::strerror(error));
    }
  }
}

std::optional<Entry> Transcript::find(const CallKey& key, const std::string& request) const {
  const std::lock_guard lock(mutex_);
  if (const auto own = entries_.find(key);
      own != entries_.end() && own->second.request == request) {
    return own->second;
  }
  const auto other = by_request_.find(request);
  if (other == by_request_.end()) return std::nullopt;
  const auto found = entries_.find(other->second);
  if (found == entries_.end() || found->second.request != request) return std::nullopt;
  return found->second;
}

void Transcript::add(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (file_ >= 0) {
    if (const int error = write_all(file_, entry.line + "\n"); error != 0) {
      fail(ErrorCode::kIo,
           "[annotate::Transcript] '{}' cannot be written: {}. Make room; what it holds is not "
           "asked again with --resume.",
           path_.string(),
           std::strerror(error));
    }
  }
  keep(std::move(entry));
}

void Transcript::finish() {
  const std::lock_guard lock(mutex_);
  if (file_ < 0) return;
  std::string content = first_line() + "\n";
  for (const auto& [key, entry] : entries_) content += entry.line + "\n";
  write_own_file(path_, content);
}

std::size_t Transcript::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::size_t Transcript::answers() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [key, entry] : entries_) count += entry.reply.answer ? 1 : 0;
  return count;
}

std::pair<std::int64_t, std::int64_t> Transcript::tokens() const {
  const std::lock_guard lock(mutex_);
  std::pair<std::int64_t, std::int64_t> sum{0, 0};
  for (const auto& [key, entry] : entries_) {
    if (!entry.reply.answer) continue;
    sum.first += entry.reply.answer->prompt_tokens;
    sum.second += entry.reply.answer->answer_tokens;
  }
  return sum;
}

}  // namespace detente::annotate
