// SPDX-License-Identifier: Apache-2.0
// NumPy files. The magic is given, or no input would come past it.
#include <detente/core/npy.h>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  const std::string content = "\x93NUMPY" + std::string(fuzz::text_of(data, size));
  const std::string path = fuzz::file_with("a.npy", content);
  fuzz::survive([&] {
    const NpyArray array = read_npy(path);
    std::size_t count = 1;
    for (const std::size_t n : array.shape) count *= n;
    fuzz::expect(count == array.values.size(), "as many numbers as the shape says");
  });
  fuzz::survive([&] { read_npy_matrix(path); });
  fuzz::survive([&] { read_npy_vector(path); });
}
