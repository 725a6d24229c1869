// SPDX-License-Identifier: Apache-2.0
// The group of a run's processes for those who only hand it on: no LibTorch header in it.
#pragma once

#include <detente/launch/launch.h>

#include <memory>
#include <string>

namespace detente::tensor {
class Group;
}

namespace detente::parallel {

struct GroupOptions {
  // How long an operation waits for the others, and the start for all to come; > 0.
  double timeout_s = 60;
};

// ProcessGroup::join.
std::shared_ptr<tensor::Group> join(const launch::Launch& launch, const GroupOptions& options = {});
// Joins, tells the others that this process ends and why, and leaves: for errors that come before there
// is anything to share. Never throws.
void refuse_others(const launch::Launch& launch, const std::string& message) noexcept;

}  // namespace detente::parallel
