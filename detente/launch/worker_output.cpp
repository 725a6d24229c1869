// SPDX-License-Identifier: Apache-2.0
#include <detente/launch/worker_output.h>

namespace detente::launch {

std::string MarkedLines::add(std::string_view bytes) {
  std::string whole;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::size_t count = end == std::string_view::npos ? bytes.size() : end;
    line_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    if (!bytes.empty()) {
      bytes.remove_prefix(1);
      whole += mark_ + line_ + "\n";
      line_.clear();
    } else if (line_.size() >= kLongest) {
      whole += rest();
    }
  }
  return whole;
}

std::string MarkedLines::rest() {
  if (line_.empty()) return {};
  std::string whole = mark_ + line_ + "\n";
  line_.clear();
  return whole;
}

}  // namespace detente::launch
