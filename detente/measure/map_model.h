// SPDX-License-Identifier: Apache-2.0
// The network of the published NYUv2 tables to time a training step on: SegNet with attention for each
// task (nn/mtan_trunk.h) at its full width, with random images and maps.
#pragma once

#include <detente/measure/models.h>

#include <cstdint>

namespace detente::measure {

// Images of 288 x 384 pixels, each side times `scale` and brought to a multiple of 32, the least that the
// pools leave something of; 13 classes, depth and normals in turn as tasks, one pixel in eight of each
// without a target. One batch for all tasks. Everything is drawn from `seed` on the CPU.
BenchmarkModel make_map_model(std::int64_t tasks,
                              std::int64_t batch,
                              double scale,
                              std::uint64_t seed,
                              tensor::Device device);

}  // namespace detente::measure
