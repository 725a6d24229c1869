// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>

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
    case ErrorCode::kInternal:
      return 1;
  }
  return 1;
}

}  // namespace detente
