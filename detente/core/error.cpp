// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/json.h>

#include <filesystem>
#include <new>
#include <system_error>

namespace detente {

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kShape:
      return "shape";
    case ErrorCode::kNumeric:
      return "numeric";
    case ErrorCode::kData:
      return "data";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kPeerLost:
      return "peer_lost";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
      return 2;
    case ErrorCode::kShape:
    case ErrorCode::kData:
    case ErrorCode::kIo:
      return 3;
    case ErrorCode::kNumeric:
      return 4;
    case ErrorCode::kPeerLost:
      return 75;
    case ErrorCode::kInternal:
      return 1;
  }
  return 1;
}

std::optional<Error> known_error(const std::exception& error, const std::string& where) {
  constexpr int kInvalidUtf8 = 316;  // nlohmann::json
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      dynamic_cast<const std::length_error*>(&error) != nullptr) {
    return Error(ErrorCode::kUnsupported,
                 where +
                     " there is not enough memory. Give the process more, or ask for less: "
                     "fewer rows, a smaller batch, a smaller model.");
  }
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    return Error(ErrorCode::kIo,
                 fmt::format("{} the system refuses '{}': {}.",
                             where,
                             file->path1().string(),
                             file->code().message()));
  }
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    if (system->code() == std::errc::resource_unavailable_try_again) {
      return Error(ErrorCode::kUnsupported,
                   where +
                       " the system gives no more threads. Ask for fewer (threads), or raise "
                       "the limit (ulimit -u).");
    }
    return Error(ErrorCode::kIo, fmt::format("{} {}.", where, system->code().message()));
  }
  const auto* json = dynamic_cast<const Json::exception*>(&error);
  if (json != nullptr && json->id == kInvalidUtf8) {
    return Error(ErrorCode::kData,
                 where +
                     " a text is not valid UTF-8 and cannot be written as JSON. Name files and "
                     "tasks in UTF-8.");
  }
  return std::nullopt;
}

}  // namespace detente
