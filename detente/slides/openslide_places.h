// SPDX-License-Identifier: Apache-2.0
// Where OpenSlide's library may lie on this machine, and what its not loading means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace detente::slides {

// What to give to dlopen(), in this order: the file DETENTE_OPENSLIDE names, and nothing else where it is set;
// else 4.x of the system (libopenslide.so.1), 4.x of the Python package openslide_bin beside the python3 of
// PATH (its folders are looked at, no Python is run), then 3.4 of the system (libopenslide.so.0).
std::vector<std::string> openslide_places();

struct LoadProblem {
  std::string cause;
  std::string cure;
};

// What dlerror() says of a library `asked` for, in words of those who use it. `asked` itself not being there is
// one cause, something that it needs not being there another.
LoadProblem explain_load_failure(std::string_view asked, std::string_view message);

// The cure where there is no OpenSlide at all.
std::string openslide_install_lines();

}  // namespace detente::slides
