// SPDX-License-Identifier: Apache-2.0
#define TORCH_VERSION_MAJOR 9
#define TORCH_VERSION_MINOR 8
#define TORCH_VERSION_PATCH 7
