// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/sse.h>

#include <utility>

namespace detente::annotate {

std::vector<std::string> SseReader::feed(std::string_view bytes) {
  std::vector<std::string> events;
  for (const char c : bytes) {
    const bool feed_of_pair = after_cr_ && c == '\n';
    after_cr_ = c == '\r';
    if (feed_of_pair) continue;
    if (c == '\r' || c == '\n') {
      take_line(events);
    } else {
      line_ += c;
    }
  }
  return events;
}

void SseReader::take_line(std::vector<std::string>& events) {
  std::string line = std::exchange(line_, {});
  if (std::exchange(first_line_, false) && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  if (line.empty()) {
    if (has_data_) events.push_back(std::exchange(data_, {}));
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  if (line.substr(0, colon) != "data") return;
  std::string_view value;
  if (colon != std::string::npos) value = std::string_view(line).substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += value;
  has_data_ = true;
}

}  // namespace detente::annotate
