// SPDX-License-Identifier: Apache-2.0
// In place of process_group.cpp where Gloo's headers are missing: there is no group to join.
#include <detente/core/error.h>
#include <detente/parallel/process_group.h>

namespace detente::parallel {

struct ProcessGroup::Impl {};

std::shared_ptr<ProcessGroup> ProcessGroup::join(const launch::Launch& launch,
                                                 const GroupOptions& /*options*/) {
  fail(ErrorCode::kUnsupported,
       "[parallel::join] this program was built without Gloo's headers, so it cannot be one of {} "
       "processes. Install them (Debian: libgloo-dev) and build it again, or train with one.",
       launch.size);
}

ProcessGroup::ProcessGroup(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ProcessGroup::~ProcessGroup() = default;
int ProcessGroup::rank() const { return 0; }
int ProcessGroup::size() const { return 1; }
void ProcessGroup::sum(std::span<double> /*numbers*/) {}
void ProcessGroup::sum(at::Tensor& /*values*/) {}
void ProcessGroup::scatter_sum(const at::Tensor& rows, at::Tensor& own) {
  Group::scatter_sum(rows, own);
}
std::unique_ptr<tensor::Group::Pending> ProcessGroup::start_scatter_sum(const at::Tensor& rows,
                                                                        at::Tensor own) {
  return Group::start_scatter_sum(rows, std::move(own));
}
void ProcessGroup::gather(const at::Tensor& own, at::Tensor& all) { Group::gather(own, all); }
std::string ProcessGroup::from_first(std::string text) { return text; }
void ProcessGroup::wait() {}
void ProcessGroup::give_up(const std::string& /*message*/) noexcept {}
std::int64_t ProcessGroup::bytes_sent() const { return 0; }

}  // namespace detente::parallel
