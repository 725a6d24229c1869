// SPDX-License-Identifier: Apache-2.0
#include <detente/report/contour.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <unordered_map>

namespace detente::report {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// A crossing of the level with an edge of the grid; lines run from crossing to crossing, and each
// crossing has at most two neighbours: one in either cell that shares the edge.
struct Crossing {
  Point at;
  std::array<std::size_t, 2> next = {kNone, kNone};
};

class Tracer {
 public:
  Tracer(MatrixView heights, const Rect& domain, double level)
      : heights_(heights), domain_(domain), level_(level) {}

  std::vector<std::vector<Point>> trace() {
    for (std::size_t i = 0; i + 1 < heights_.rows; ++i) {
      for (std::size_t j = 0; j + 1 < heights_.cols; ++j) cell(i, j);
    }
    std::vector<std::vector<Point>> lines;
    std::vector<bool> used(crossings_.size(), false);
    // Open lines from their ends first; what remains is closed.
    for (const bool closed : {false, true}) {
      for (std::size_t c = 0; c < crossings_.size(); ++c) {
        if (used[c] || (!closed && crossings_[c].next[1] != kNone)) continue;
        lines.push_back(follow(c, used, closed));
      }
    }
    return lines;
  }

 private:
  // Edges of cell (i, j): 0 low y, 1 high x, 2 high y, 3 low x.
  void cell(std::size_t i, std::size_t j) {
    const std::array<double, 4> h = {
        heights_(i, j), heights_(i, j + 1), heights_(i + 1, j + 1), heights_(i + 1, j)};
    unsigned above = 0;
    double center = 0;
    for (unsigned corner = 0; corner < 4; ++corner) {
      if (!std::isfinite(h[corner])) return;
      if (h[corner] > level_) above |= 1U << corner;
      center += h[corner] / 4;
    }
    const bool high = center > level_;
    switch (above) {
      case 0b0001:
      case 0b1110:
        join(i, j, 3, 0);
        break;
      case 0b0010:
      case 0b1101:
        join(i, j, 0, 1);
        break;
      case 0b0100:
      case 0b1011:
        join(i, j, 1, 2);
        break;
      case 0b1000:
      case 0b0111:
        join(i, j, 2, 3);
        break;
      case 0b0011:
      case 0b1100:
        join(i, j, 3, 1);
        break;
      case 0b0110:
      case 0b1001:
        join(i, j, 0, 2);
        break;
      case 0b0101:
        join(i, j, 3, high ? 2 : 0);
        join(i, j, 1, high ? 0 : 2);
        break;
      case 0b1010:
        join(i, j, 0, high ? 3 : 1);
        join(i, j, 2, high ? 1 : 3);
        break;
      default:
        break;
    }
  }

  void join(std::size_t i, std::size_t j, int from, int to) {
    const std::size_t a = crossing(i, j, from);
    const std::size_t b = crossing(i, j, to);
    link(a, b);
    link(b, a);
  }

  void link(std::size_t from, std::size_t to) {
    auto& next = crossings_[from].next;
    next[next[0] == kNone ? 0 : 1] = to;
  }

  std::size_t crossing(std::size_t i, std::size_t j, int edge) {
    const bool along_x = edge == 0 || edge == 2;
    const std::size_t row = edge == 2 ? i + 1 : i;
    const std::size_t col = edge == 1 ? j + 1 : j;
    const std::size_t key = 2 * (row * heights_.cols + col) + (along_x ? 0 : 1);
    const auto [it, fresh] = index_.try_emplace(key, crossings_.size());
    if (fresh) {
      const double from = heights_(row, col);
      const double to = along_x ? heights_(row, col + 1) : heights_(row + 1, col);
      const double t = (level_ - from) / (to - from);
      const double x = static_cast<double>(col) + (along_x ? t : 0.0);
      const double y = static_cast<double>(row) + (along_x ? 0.0 : t);
      crossings_.push_back(
          {{domain_.x + domain_.width * x / static_cast<double>(heights_.cols - 1),
            domain_.y + domain_.height * y / static_cast<double>(heights_.rows - 1)}});
    }
    return it->second;
  }

  std::vector<Point> follow(std::size_t start, std::vector<bool>& used, bool closed) {
    std::vector<Point> line;
    for (std::size_t at = start; at != kNone;) {
      used[at] = true;
      line.push_back(crossings_[at].at);
      const auto& next = crossings_[at].next;
      at = next[0] != kNone && !used[next[0]]   ? next[0]
           : next[1] != kNone && !used[next[1]] ? next[1]
                                                : kNone;
    }
    if (closed) line.push_back(line.front());
    return line;
  }

  MatrixView heights_;
  Rect domain_;
  double level_;
  std::vector<Crossing> crossings_;
  std::unordered_map<std::size_t, std::size_t> index_;
};

}  // namespace

std::vector<std::vector<Point>> contour_lines(MatrixView heights,
                                              const Rect& domain,
                                              double level) {
  return Tracer(heights, domain, level).trace();
}

}  // namespace detente::report
