// SPDX-License-Identifier: Apache-2.0
// The one root of Detente's exceptions, and the exit code each kind has on the command line.
//
// Message form: "[module::function] what is wrong; expected <rule>, got <value>. <what to do>".
#pragma once

#include <fmt/format.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

namespace detente {

enum class ErrorCode {
  kInvalidArgument,  // a bad option, flag or recipe value
  kShape,            // sizes that do not fit each other
  kNumeric,          // NaN or infinity where a finite number is needed
  kData,             // a data file whose content is wrong
  kIo,               // a file that cannot be read or written
  kUnsupported,      // something this build or engine cannot do
  kPeerLost,         // another process of the same run is gone, does not answer or has failed
  kInternal,         // our own fault
};

// Stable lower-case name, e.g. "invalid_argument".
const char* name_of(ErrorCode code);

// 0 ok, 1 internal, 2 usage/recipe, 3 data/io, 4 numeric, 75 another process lost: try again (130 is
// used for an interrupted run).
int exit_code(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// What the standard library and JSON throw for reasons that are not our fault, as an Error: no
// memory (kUnsupported), no threads (kUnsupported), a path the system refuses (kIo), text that is
// not UTF-8 where it must be (kData). Nothing for anything else. `where` opens the message.
std::optional<Error> known_error(const std::exception& error, const std::string& where);

// Throws Error(code) with a message built by fmt.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace detente

// The caller's fault: throws detente::Error when `condition` is false.
#define DETENTE_CHECK(condition, code, ...) \
  do {                                      \
    if (!(condition)) {                     \
      ::detente::fail((code), __VA_ARGS__); \
    }                                       \
  } while (false)

// Our own fault: throws ErrorCode::kInternal with file and line.
#define DETENTE_DCHECK(condition)                          \
  do {                                                     \
    if (!(condition)) {                                    \
      ::detente::fail(::detente::ErrorCode::kInternal,     \
                      "[{}:{}] internal check failed: {}", \
                      __FILE__,                            \
                      __LINE__,                            \
                      #condition);                         \
    }                                                      \
  } while (false)
