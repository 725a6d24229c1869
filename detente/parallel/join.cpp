// SPDX-License-Identifier: Apache-2.0
#include <detente/parallel/join.h>
#include <detente/parallel/process_group.h>

#include <exception>

namespace detente::parallel {

std::shared_ptr<tensor::Group> join(const launch::Launch& launch, const GroupOptions& options) {
  return ProcessGroup::join(launch, options);
}

void refuse_others(const launch::Launch& launch, const std::string& message) noexcept {
  try {
    ProcessGroup::join(launch)->give_up(message);
  } catch (const std::exception&) {
    // The others are not there, or have errors of their own.
  }
}

}  // namespace detente::parallel
