// SPDX-License-Identifier: Apache-2.0
// LibTorch's headers hide what was not built in; Gloo is in every build for Linux.
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Flags.h>
#include <detente/core/error.h>
#include <detente/parallel/c10d_store.h>
#include <detente/parallel/meeting_place.h>
#include <detente/parallel/process_group.h>
#include <detente/tensor/compat.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <vector>

C10_DECLARE_int(caffe2_log_level);

namespace detente::parallel {

namespace {

using namespace std::chrono_literals;

// How often a wait looks whether another process has failed.
constexpr auto kLook = 500ms;
constexpr int kProbeTag = 0x70726f62;

// Gloo reads and writes the host's memory.
at::Tensor on_host(const at::Tensor& tensor) { return tensor.detach().cpu().contiguous(); }

// Gloo and the store write to connections without MSG_NOSIGNAL: the signal would end this process, without a
// word, where another one has just gone. Ignored, it becomes an error that can be put into words.
void ignore_broken_connections() {
  struct sigaction now {};
  if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) {
    now.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &now, nullptr);
  }
}

}  // namespace

struct ProcessGroup::Impl {
  launch::Launch launch;
  std::optional<MeetingPlace> place;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  double bytes = 0;

  double others() const { return launch.size - 1; }

  using Work = c10::intrusive_ptr<c10d::Work>;

  // Calls what is c10d's, and says what is known of the others where it fails.
  template <class Call>
  auto guarded(const char* what, Call call) {
    try {
      return call();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw Error(ErrorCode::kPeerLost,
                  fmt::format("{} ({})", place->lost(what), tensor::first_line(error.what())));
    }
  }

  void wait_for(const char* what, const Work& work) {
    guarded(what, [&] {
      while (!work->isCompleted()) {
        if (place->failed()) throw Error(ErrorCode::kPeerLost, place->lost(what));
        try {
          work->wait(kLook);
        } catch (const std::exception&) {
          // Not done yet, or failed, which shows in the next line.
          if (work->isCompleted()) throw;
        }
      }
      work->wait();
      return true;
    });
  }

  void run(const char* what, const std::function<Work()>& start) {
    wait_for(what, guarded(what, start));
  }

  // Beats that stand still are no proof for as long as the timeout; a connection that the other side's system
  // has closed is. Gloo knows of that at once and says so to whoever wants to send. Nobody takes what is sent
  // here: it stays as a line in a list.
  bool gone(int rank) {
    std::vector<at::Tensor> nothing{at::zeros({1}, at::kByte)};
    try {
      gloo->send(nothing, rank, kProbeTag);
      return false;
    } catch (const std::exception&) {
      return true;
    }
  }

  void sum_on_host(at::Tensor values) {
    std::vector<at::Tensor> list{std::move(values)};
    bytes += 2 * others() / launch.size * static_cast<double>(list[0].nbytes());
    run("adding up", [&] { return gloo->allreduce(list); });
  }
};

std::shared_ptr<ProcessGroup> ProcessGroup::join(const launch::Launch& launch,
                                                 const GroupOptions& options) {
  // LibTorch writes a page about every connection that ends, beside the exception that we put into words.
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = 3;  // fatal ones only
  ignore_broken_connections();
  auto impl = std::make_unique<Impl>();
  impl->launch = launch;
  const auto timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(1e3 * options.timeout_s));
  impl->place.emplace(launch, timeout);
  MeetingPlace& place = *impl->place;
  try {
    const auto gloo_options = c10d::ProcessGroupGloo::Options::create(timeout);
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    gloo_options->devices.push_back(
        interface != nullptr && *interface != '\0'
            ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
            : c10d::ProcessGroupGloo::createDeviceForHostname(place.own_address()));
    impl->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", place.store().own),
        launch.rank,
        launch.size,
        gloo_options);
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kPeerLost,
                place.lost(fmt::format("making connections from {} ({})",
                                       place.own_address(),
                                       tensor::first_line(error.what()))));
  }
  return std::shared_ptr<ProcessGroup>(new ProcessGroup(std::move(impl)));
}

ProcessGroup::ProcessGroup(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ProcessGroup::~ProcessGroup() = default;

int ProcessGroup::rank() const { return impl_->launch.rank; }
int ProcessGroup::size() const { return impl_->launch.size; }
std::int64_t ProcessGroup::bytes_sent() const { return static_cast<std::int64_t>(impl_->bytes); }

void ProcessGroup::sum(std::span<double> numbers) {
  if (numbers.empty()) return;
  impl_->sum_on_host(
      at::from_blob(numbers.data(), {static_cast<std::int64_t>(numbers.size())}, at::kDouble));
}

void ProcessGroup::sum(at::Tensor& values) {
  if (values.numel() == 0) return;
  const at::NoGradGuard no_grad;
  if (values.is_cpu() && values.is_contiguous()) {
    impl_->sum_on_host(values.detach());
    return;
  }
  const at::Tensor host = on_host(values);
  impl_->sum_on_host(host);
  values.copy_(host);
}

namespace {

constexpr const char* kDividing = "dividing gradients";

}  // namespace

// Everybody's columns of this process's rows are on their way.
struct ProcessGroup::Scatter final : tensor::Group::Pending {
  Impl* impl = nullptr;
  Impl::Work work;
  at::Tensor in;
  at::Tensor out;  // read until the end
  at::Tensor own;

  void finish() override {
    const at::NoGradGuard no_grad;
    impl->wait_for(kDividing, work);
    for (std::int64_t r = 1; r < in.size(0); ++r) in[0].add_(in[r]);
    own.copy_(in[0]);
  }
};

void ProcessGroup::scatter_sum(const at::Tensor& rows, at::Tensor& own) {
  start_scatter_sum(rows, own)->finish();
}

std::unique_ptr<tensor::Group::Pending> ProcessGroup::start_scatter_sum(const at::Tensor& rows,
                                                                        at::Tensor own) {
  if (rows.numel() == 0) return std::make_unique<Pending>();
  const at::NoGradGuard no_grad;
  const std::int64_t w = size();
  const std::int64_t k = rows.size(0);
  const std::int64_t each = rows.size(1) / w;
  // Gloo's reduce-scatter would add everything up everywhere. Each gets its columns of all, and adds them
  // up in the order of the ranks: the same bits in every run.
  auto scatter = std::make_unique<Scatter>();
  scatter->impl = impl_.get();
  scatter->own = std::move(own);
  scatter->out = on_host(rows).view({k, w, each}).transpose(0, 1).contiguous();
  scatter->in = at::empty_like(scatter->out);
  std::vector<std::int64_t> even;
  const auto size = static_cast<double>(scatter->out.nbytes());
  impl_->bytes += impl_->others() / static_cast<double>(w) * size;
  scatter->work = impl_->guarded(
      kDividing, [&] { return impl_->gloo->alltoall_base(scatter->in, scatter->out, even, even); });
  return scatter;
}

void ProcessGroup::gather(const at::Tensor& own, at::Tensor& all) {
  if (own.numel() == 0) return;
  const at::NoGradGuard no_grad;
  at::Tensor part = on_host(own);
  at::Tensor whole =
      all.is_cpu() && all.is_contiguous() ? all.detach() : at::empty(all.sizes(), part.options());
  impl_->bytes += impl_->others() * static_cast<double>(part.nbytes());
  impl_->run("collecting", [&] { return impl_->gloo->_allgather_base(whole, part); });
  if (!whole.is_alias_of(all)) all.copy_(whole);
}

std::string ProcessGroup::from_first(std::string text) {
  double length = rank() == 0 ? static_cast<double>(text.size()) : 0.0;
  sum(std::span(&length, 1));
  text.resize(static_cast<std::size_t>(length));
  if (text.empty()) return text;
  std::vector<at::Tensor> list{
      at::from_blob(text.data(), {static_cast<std::int64_t>(text.size())}, at::kByte)};
  if (rank() == 0) impl_->bytes += impl_->others() * length;
  impl_->run("hearing rank 0", [&] { return impl_->gloo->broadcast(list); });
  return text;
}

void ProcessGroup::wait() {
  impl_->place->wait([this](int rank) { return impl_->gone(rank); });
}

void ProcessGroup::give_up(const std::string& message) noexcept { impl_->place->give_up(message); }

}  // namespace detente::parallel
