// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <detente/core/stopwatch.h>
#include <detente/doctor/engine.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/device.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace detente::doctor {
namespace {

// The rest of the line after `key` in LibTorch's description of itself, up to `stop`.
std::string engine_value_after(const std::string& text, const std::string& key, char stop) {
  const auto at = text.find(key);
  if (at == std::string::npos) return {};
  const auto begin = at + key.size();
  return text.substr(begin, text.find_first_of(std::string(1, stop) + "\n", begin) - begin);
}

// The best of the repeats that fit into a quarter of a second: other programs only ever slow it
// down.
double engine_gflops(int threads) {
  constexpr std::int64_t kSize = 768;
  tensor::set_threads(threads);
  const at::Tensor a = at::ones({kSize, kSize});
  const at::Tensor b = at::ones({kSize, kSize});
  double best = 0.0;
  double total = 0.0;
  for (int repeat = 0; repeat < 20 && (repeat < 2 || total < 0.25); ++repeat) {
    const Stopwatch time;
    at::mm(a, b);
    const double seconds = time.seconds();
    total += seconds;
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds * 1e-9);
  }
  return best;
}

std::vector<std::string> engine_distributed() {
  std::vector<std::string> names;
#ifdef USE_C10D_GLOO
  names.emplace_back("gloo");
#endif
#ifdef USE_C10D_NCCL
  names.emplace_back("nccl");
#endif
#ifdef USE_C10D_MPI
  names.emplace_back("mpi");
#endif
  return names;
}

}  // namespace

machine::Engine look_at_engine(std::span<const std::string> libraries, int cores) {
  machine::Engine engine;
  engine.built_version = DETENTE_TORCH_VERSION;
  engine.built_folder = DETENTE_TORCH_PREFIX;
  engine.origin = DETENTE_TORCH_ORIGIN;
  for (const auto& path : libraries) {
    if (machine::is_library(path, "libtorch_cpu")) {
      engine.folder = std::filesystem::path(path).parent_path().string();
    }
  }
  engine.distributed = engine_distributed();
  tensor::translate_errors("doctor::look_at_engine", [&] {
    const std::string config = at::show_config();
    engine.version = engine_value_after(config, "TORCH_VERSION=", ',');
    if (config.find("Intel(R) oneAPI Math Kernel Library") != std::string::npos) {
      engine.blas = "MKL " + engine_value_after(config, "Math Kernel Library Version ", '-');
    }
    engine.cpu_capability = engine_value_after(config, "CPU capability usage: ", '\n');
    engine.cuda_build = at::globalContext().hasCUDA() ||
                        config.find("USE_CUDA=1") != std::string::npos ||
                        config.find("USE_CUDA=ON") != std::string::npos;
    engine.cuda_devices =
        at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
    engine.threads = at::get_num_threads();
    engine.interop_threads = at::get_num_interop_threads();
    engine.gflops_one = engine_gflops(1);
    engine.gflops_all = cores > 1 ? engine_gflops(cores) : engine.gflops_one;
    tensor::set_threads(engine.threads);
  });
  return engine;
}

}  // namespace detente::doctor
