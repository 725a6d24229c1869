// SPDX-License-Identifier: Apache-2.0
// Every call and what came of it, an object a line, so that no answer that was paid for is lost and a run can be
// repeated without a network. While a run lasts, lines are added as calls end; at its end they are brought
// into the order of rows, tasks and calls, in which they do not depend on who was faster.
//
//   {"format": "detente-transcript-1"}
//   {"row": 0, "task": "mood", "call": 0, "hash": "...", "endpoint": "http://...", "request": {...},
//    "tries": [{"status": 429, "why": "...", "waited": 0.4}, {"status": 200}], "seconds": 1.2,
//    "answer": {"text": "...", "finish": "stop", "prompt_tokens": 50, "answer_tokens": 2}}
//
// or "failure": {"kind": "refused", "message": "...", "status": 400} for the answer. No line holds a key.
#pragma once

#include <detente/annotate/chat.h>
#include <detente/core/json.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace detente::annotate {

// Which call this is: of a row (-1: of none), for a task, the how-manieth of these.
struct CallKey {
  std::int64_t row = -1;
  std::string task;
  std::int64_t call = 0;

  auto tie() const { return std::tie(row, task, call); }
  bool operator<(const CallKey& other) const { return tie() < other.tie(); }
};

struct Entry {
  CallKey key;
  std::string request;  // as JSON text
  Reply reply;
  std::string line;  // as it stands in the file, without its end
};

// The line of a call.
Entry make_entry(const CallKey& key,
                 const std::string& endpoint,
                 const Json& request,
                 const Json& tries,
                 double seconds,
                 const Reply& reply);

class Transcript {
 public:
  // In memory alone.
  Transcript() = default;
  ~Transcript();
  Transcript(const Transcript&) = delete;
  Transcript& operator=(const Transcript&) = delete;

  // Reads a file's calls, to serve them. Throws kIo, or kData with the line; a last line without its end (a
  // process was killed) is passed over.
  void read(const std::filesystem::path& path);

  // Begins a file, or with `resume` reads it and goes on behind its last whole line. The file is this
  // process's alone: kInvalidArgument where another has it. A link, a device or a folder is refused.
  void open(const std::filesystem::path& path, bool resume);

  // What was recorded for the same request: of this very call, else of any other one, so
  // that equal rows are asked once.
  std::optional<Entry> find(const CallKey& key, const std::string& request) const;

  // Keeps the entry and, of an open file, writes its line. An earlier one of the same key gives way.
  void add(Entry entry);

  // Of an open file: all lines in their order, atomically. Calls that nobody asked for this time stay.
  void finish();

  std::size_t size() const;
  // Calls that were answered.
  std::size_t answers() const;
  // Tokens of all recorded answers: prompts', answers'.
  std::pair<std::int64_t, std::int64_t> tokens() const;

 private:
  // All whole lines of a file's content.
  void take(const std::string& content, const std::string& source);
  void take_line(const std::string& line, std::size_t number, const std::string& source);
  void keep(Entry entry);

  mutable std::mutex mutex_;
  std::filesystem::path path_;
  int file_ = -1;
  std::map<CallKey, Entry> entries_;
  std::unordered_map<std::string, CallKey> by_request_;
};

}  // namespace detente::annotate
