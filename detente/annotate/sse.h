// SPDX-License-Identifier: Apache-2.0
// Server-sent events (WHATWG HTML, "Server-sent events"), as far as chat endpoints use them: the data of each event.
// Comments (": keep-alive"), other fields, CR, LF and CRLF line ends and a byte-order mark are as the standard has
// them; an event that no blank line ended is none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace detente::annotate {

class SseReader {
 public:
  // The data of the events that these bytes complete; the bytes may be cut anywhere.
  std::vector<std::string> feed(std::string_view bytes);

 private:
  void take_line(std::vector<std::string>& events);

  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool first_line_ = true;
};

}  // namespace detente::annotate
