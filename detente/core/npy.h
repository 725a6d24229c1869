// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files: versions 1.0 to 3.0, C and Fortran order. Here float32/float64 in, float64 out;
// what else such a file may hold, data/array_file.h makes of parse_npy.
#pragma once

#include <detente/core/matrix.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace detente {

// An array as it lies in a file.
struct NpyContent {
  std::string dtype;  // "<f4", ">i8", "|b1", "<U12"
  bool fortran_order = false;
  std::vector<std::size_t> shape;
  std::size_t item = 0;    // bytes of one entry
  std::string_view bytes;  // all entries; a part of what was parsed

  std::size_t count() const { return item == 0 ? 0 : bytes.size() / item; }
};

// Numbers, truth values (b, i, u, f) and texts (U, S) of any width and byte order. Throws kData,
// naming `source`: a foreign or cut file, other entries (Python objects, records, dates), a size that
// does not fit the header.
NpyContent parse_npy(std::string_view bytes, const std::string& source);

// "(3, 2)" or "(3,)", as NumPy writes it.
std::string npy_shape_text(const std::vector<std::size_t>& shape);

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

// Writes float64 or float32, C order, version 1.0, atomically.
void write_npy(const std::filesystem::path& path,
               const std::vector<std::size_t>& shape,
               const double* values);
void write_npy(const std::filesystem::path& path,
               const std::vector<std::size_t>& shape,
               const float* values);

}  // namespace detente
