// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files: versions 1.0 to 3.0, C and Fortran order, float32/float64 in, float64 out.
#pragma once

#include <detente/core/matrix.h>

#include <filesystem>
#include <string>
#include <vector>

namespace detente {

struct NpyArray {
  std::vector<std::size_t> shape;
  std::vector<double> values;  // C order
  std::string dtype;           // as in the file: "<f4" or "<f8"
};

// Errors: kIo; kData for a foreign or cut file, another dtype (with the conversion to do),
// big-endian byte order, a size that does not fit the header.
NpyArray read_npy(const std::filesystem::path& path);

// A 2-D array as a matrix; kShape when it has another number of dimensions.
Matrix read_npy_matrix(const std::filesystem::path& path);
// A 1-D array (or one row or column).
std::vector<double> read_npy_vector(const std::filesystem::path& path);

// Writes float64, C order, version 1.0, atomically.
void write_npy(const std::filesystem::path& path,
               const std::vector<std::size_t>& shape,
               const double* values);

}  // namespace detente
