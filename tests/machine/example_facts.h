// SPDX-License-Identifier: Apache-2.0
// Machines as they were met: healthy ones, to which each test adds one illness.
#pragma once

#include <detente/machine/facts.h>

namespace detente::machine {

// The PyTorch wheel on two cores with AVX-512, nothing else running.
inline Facts healthy_wheel() {
  Facts facts;
  facts.cpu = {.model = "Example Xeon", .cores = 2, .avx2 = true, .avx512 = true, .load = 0.1};
  facts.libraries = {"/venv/torch/lib/libc10.so",
                     "/venv/torch/lib/libgomp.so.1",
                     "/venv/torch/lib/libtorch.so",
                     "/venv/torch/lib/libtorch_cpu.so"};
  facts.environment = {{"OMP_WAIT_POLICY", "passive"}, {"GOMP_SPINCOUNT", "3000"}};
  Engine engine;
  engine.version = engine.built_version = "2.13.0";
  engine.folder = "/venv/torch/lib";
  engine.blas = "MKL 2024.2";
  engine.threads = 2;
  engine.gflops_one = 120.0;
  engine.gflops_all = 200.0;
  facts.engine = engine;
  return facts;
}

// Debian's LibTorch with the OpenMP flavour of OpenBLAS.
inline Facts healthy_system() {
  Facts facts = healthy_wheel();
  facts.libraries = {"/usr/lib/x86_64-linux-gnu/libc10.so.2.9",
                     "/usr/lib/x86_64-linux-gnu/libgomp.so.1.0.0",
                     "/usr/lib/x86_64-linux-gnu/libtorch_cpu.so.2.9",
                     "/usr/lib/x86_64-linux-gnu/openblas-openmp/libblas.so.3",
                     "/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblasp-r0.3.21.so"};
  facts.blas = {.kind = Blas::kOpenBlas,
                .path = "/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblasp-r0.3.21.so",
                .config = "OpenBLAS 0.3.21 DYNAMIC_ARCH USE_OPENMP Cooperlake",
                .core = "Cooperlake",
                .threads = BlasThreads::kOpenMp};
  facts.engine->version = facts.engine->built_version = "2.9.1";
  facts.engine->folder = "/usr/lib/x86_64-linux-gnu";
  facts.engine->blas = "";
  return facts;
}

}  // namespace detente::machine
