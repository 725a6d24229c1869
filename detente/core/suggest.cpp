// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/suggest.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace detente {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

namespace {

// Longer names are compared by their beginnings, so that no text makes a message slow.
constexpr std::size_t kCompared = 64;
constexpr std::size_t kAllNamed = 64;
constexpr std::size_t kNearest = 10;

// How far a name is from another; a slip of the shift key is none.
std::size_t name_distance(const std::string& lower, const std::string& candidate) {
  return edit_distance(lower, lower_ascii(candidate.substr(0, kCompared)));
}

std::string start_of_name(std::string_view name) {
  return lower_ascii(std::string(name.substr(0, kCompared)));
}

// The only candidate that begins so; "" where there is none, or more, or hardly a beginning.
std::string completed(const std::string& lower, std::span<const std::string> allowed) {
  constexpr std::size_t kShortest = 3;
  if (lower.size() < kShortest) return "";
  std::string found;
  for (const auto& candidate : allowed) {
    if (!lower_ascii(candidate.substr(0, kCompared)).starts_with(lower)) continue;
    if (!found.empty()) return "";
    found = candidate;
  }
  return found;
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string> allowed) {
  const std::string lower = start_of_name(name);
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, lower.size() / 3) + 1;
  for (const auto& candidate : allowed) {
    const std::size_t distance = name_distance(lower, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best.empty() ? completed(lower, allowed) : best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> allowed) {
  const std::string best = nearest_name(name, allowed);
  return best.empty() ? std::string() : " Did you mean '" + best + "'?";
}

std::string join_names(std::span<const std::string> names) {
  std::string text;
  for (const auto& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

std::string list_names(std::string_view name, std::span<const std::string> allowed) {
  if (allowed.size() <= kAllNamed) return join_names(allowed);
  const std::string lower = start_of_name(name);
  std::vector<std::pair<std::size_t, std::size_t>> order;
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    order.emplace_back(name_distance(lower, allowed[i]), i);
  }
  std::partial_sort(order.begin(), order.begin() + kNearest, order.end());
  std::vector<std::string> nearest;
  for (std::size_t i = 0; i < kNearest; ++i) nearest.push_back(allowed[order[i].second]);
  return join_names(nearest) + " and " + std::to_string(allowed.size() - kNearest) + " more";
}

std::string expected_one_of(std::string_view name, std::span<const std::string> allowed) {
  return "expected one of: " + list_names(name, allowed) + "." + did_you_mean(name, allowed);
}

}  // namespace detente
