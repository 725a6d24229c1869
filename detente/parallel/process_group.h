// SPDX-License-Identifier: Apache-2.0
// The processes of a run on LibTorch's own collectives (c10d with Gloo): what the engine sees of them is
// tensor::Group. The one folder that names c10d.
//
//   const auto group = parallel::ProcessGroup::join(launch::read_launch(), {.timeout_s = 60});
//   engine.set_group(group);                      // or TrainOptions::group
//
// All operations throw kPeerLost, with what is known of the others, where one of them is gone, does not take part
// within the timeout, or has called give_up(): none waits for ever. After that the group is of no
// more use.
#pragma once

#include <detente/launch/launch.h>
#include <detente/parallel/join.h>
#include <detente/tensor/group.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace detente::parallel {

class ProcessGroup final : public tensor::Group {
 public:
  // Waits until all processes are there. Throws as MeetingPlace does. From here on SIGPIPE is
  // ignored in this process, unless it has a handler.
  static std::shared_ptr<ProcessGroup> join(const launch::Launch& launch,
                                            const GroupOptions& options = {});
  ~ProcessGroup() override;

  int rank() const override;
  int size() const override;
  void sum(std::span<double> numbers) override;
  void sum(at::Tensor& values) override;
  void scatter_sum(const at::Tensor& rows, at::Tensor& own) override;
  std::unique_ptr<Pending> start_scatter_sum(const at::Tensor& rows, at::Tensor own) override;
  void gather(const at::Tensor& own, at::Tensor& all) override;
  std::string from_first(std::string text) override;
  void wait() override;

  // The others throw the message instead of waiting. Takes a second.
  void give_up(const std::string& message) noexcept override;

  // What this process has sent in the operations above so far, by the algorithms' own count: 2(W-1)/W of a
  // sum's bytes, (W-1)/W of what scatter_sum divides, (W-1) times the own part for gather.
  std::int64_t bytes_sent() const;

 private:
  struct Impl;
  struct Scatter;
  explicit ProcessGroup(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::parallel
