// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/whole_number.h>
#include <detente/data/graph_file.h>
#include <detente/data/table.h>
#include <detente/text/printable.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

namespace detente::data {
namespace {

constexpr std::int64_t kMostNodes = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostFeatures = 10'000'000;
constexpr std::int64_t kMostClasses = 1'000'000;
constexpr std::int64_t kMostElements = 118;
constexpr std::int64_t kMostCharge = 99;
constexpr const char* kBlanksInEdges = " \t,";

// The file's lines with their fields, one at a time; `blanks` stand between fields.
class GraphLines {
 public:
  GraphLines(const std::string& content, const std::string& source, const char* blanks = " \t")
      : rest_(content), source_(source), blanks_(blanks) {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
    const std::size_t bad = std::min(text::find_invalid_utf8(content), content.find('\0'));
    if (bad == std::string::npos) return;
    line_ = 1 + static_cast<std::size_t>(std::count(
                    content.begin(), content.begin() + static_cast<std::ptrdiff_t>(bad), '\n'));
    damage(content[bad] == '\0' ? "has a NUL byte; graphs are plain text"
                                : "is not valid UTF-8; graphs are plain text");
  }

  // Goes to the next line; false at the end of the file, where blank lines do not count.
  bool next() {
    if (rest_.find_first_not_of(" \t\r\n") == std::string_view::npos) return false;
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    fields_.clear();
    field_ = 0;
    while (true) {
      const std::size_t begin = line.find_first_not_of(blanks_);
      if (begin == std::string_view::npos) break;
      line.remove_prefix(begin);
      const std::string_view field = line.substr(0, line.find_first_of(blanks_));
      fields_.push_back(field);
      line.remove_prefix(field.size());
    }
    if (fields_.empty()) damage("is blank; expected blank lines at the end alone");
    return true;
  }

  void demand(const std::string& what) {
    if (next()) return;
    fail(ErrorCode::kData,
         "[data::parse_graph_file] '{}' ends after line {}; expected {}. The file was cut or its "
         "counts are not its own.",
         source_,
         line_,
         what);
  }

  void demand_end(const std::string& after) {
    if (next()) damage("stands after " + after + "; expected the end of the file");
  }

  const std::string& source() const { return source_; }
  std::size_t line() const { return line_; }
  std::size_t fields_left() const { return fields_.size() - field_; }
  const std::vector<std::string_view>& fields() const { return fields_; }

  std::string_view field(const char* what) {
    if (field_ == fields_.size()) damage(std::string("ends before ") + what);
    return fields_[field_++];
  }

  std::int64_t number(const char* what, std::int64_t least, std::int64_t most) {
    return number_in(field(what), what, least, most);
  }

  std::int64_t number_in(std::string_view text,
                         const char* what,
                         std::int64_t least,
                         std::int64_t most) const {
    const auto value = whole_number<std::int64_t>(text);
    if (!value || *value < least || *value > most) {
      damage(fmt::format("has '{}' as {}; expected a whole number from {} to {}",
                         text::printable(text.substr(0, 40)),
                         what,
                         least,
                         most));
    }
    return *value;
  }

  void end_of_line(const char* after) const {
    if (field_ == fields_.size()) return;
    damage(fmt::format("has {} fields after {}; expected none", fields_left(), after));
  }

  [[noreturn]] void damage(const std::string& what) const {
    fail(ErrorCode::kData, "[data::parse_graph_file] line {} of '{}' {}.", line_, source_, what);
  }

 private:
  std::string_view rest_;
  const std::string& source_;
  const char* blanks_;
  std::size_t line_ = 0;
  std::vector<std::string_view> fields_;
  std::size_t field_ = 0;
};

struct GraphEdge {
  std::int32_t from = 0;
  std::int32_t to = 0;
  std::uint8_t type = 0;
  std::size_t line = 0;
};

// One graph's edges, each given once, as both ends' neighbours.
void add_edges(GraphFile& file, std::size_t nodes, const std::vector<GraphEdge>& edges) {
  std::vector<GraphEdge> both;
  both.reserve(2 * edges.size());
  for (const GraphEdge& edge : edges) {
    both.push_back(edge);
    both.push_back({edge.to, edge.from, edge.type, edge.line});
  }
  std::sort(both.begin(), both.end(), [](const GraphEdge& a, const GraphEdge& b) {
    return std::pair(a.from, a.to) < std::pair(b.from, b.to);
  });
  for (std::size_t i = 1; i < both.size(); ++i) {
    if (both[i].from != both[i - 1].from || both[i].to != both[i - 1].to) continue;
    fail(
        ErrorCode::kData,
        "[data::parse_graph_file] line {} of '{}' gives the edge between {} and {} again; expected "
        "each edge once.",
        std::max(both[i].line, both[i - 1].line),
        file.source,
        std::min(both[i].from, both[i].to),
        std::max(both[i].from, both[i].to));
  }
  std::size_t at = 0;
  for (std::size_t node = 0; node < nodes; ++node) {
    for (; at < both.size() && both[at].from == static_cast<std::int32_t>(node); ++at) {
      file.neighbours.push_back(both[at].to);
      if (both[at].type > 0) file.bond_types.push_back(both[at].type);
    }
    file.first_neighbour.push_back(file.neighbours.size());
  }
}

GraphEdge read_ends(std::int64_t from, std::int64_t to, const GraphLines& lines) {
  if (from == to) {
    lines.damage(fmt::format("joins node {} to itself; expected edges between two nodes", from));
  }
  return {static_cast<std::int32_t>(from), static_cast<std::int32_t>(to), 0, lines.line()};
}

void parse_nodes(GraphFile& file, GraphLines& lines) {
  lines.demand("a first line 'nodes features classes edges'");
  const std::int64_t nodes = lines.number("the number of nodes", 1, kMostNodes);
  file.feature_count = lines.number("the number of features", 1, kMostFeatures);
  file.classes = lines.number("the number of classes", 0, kMostClasses);
  const std::int64_t edges =
      lines.number("the number of edges", 0, std::numeric_limits<std::int64_t>::max());
  lines.end_of_line("the number of edges");
  file.first_feature = {0};
  for (std::int64_t node = 0; node < nodes; ++node) {
    lines.demand(fmt::format("{} lines of nodes, got {}", nodes, node));
    file.lines.push_back(lines.line());
    file.labels.push_back(lines.number("the label", -1, file.classes - 1));
    file.splits.push_back(static_cast<std::int32_t>(lines.number("the split", 0, 3)));
    const std::int64_t count = lines.number("the number of features", 0, file.feature_count);
    const auto left = static_cast<std::int64_t>(lines.fields_left());
    if (left != count) {
      lines.damage(fmt::format("has {} features; its count says {}", left, count));
    }
    const auto begin = static_cast<std::ptrdiff_t>(file.features.size());
    for (std::int64_t i = 0; i < count; ++i) {
      file.features.push_back(
          static_cast<std::int32_t>(lines.number("a feature", 0, file.feature_count - 1)));
    }
    std::sort(file.features.begin() + begin, file.features.end());
    if (std::adjacent_find(file.features.begin() + begin, file.features.end()) !=
        file.features.end()) {
      lines.damage("names a feature twice");
    }
    file.first_feature.push_back(file.features.size());
  }
  std::vector<GraphEdge> list;
  for (std::int64_t i = 0; i < edges; ++i) {
    lines.demand(fmt::format("{} lines of edges, got {}", edges, i));
    const std::int64_t from = lines.number("a node", 0, nodes - 1);
    const std::int64_t to = lines.number("a node", 0, nodes - 1);
    lines.end_of_line("the two ends of an edge");
    list.push_back(read_ends(from, to, lines));
  }
  lines.demand_end(fmt::format("the {} edges that the first line promises", edges));
  file.first_node.push_back(static_cast<std::size_t>(nodes));
  add_edges(file, static_cast<std::size_t>(nodes), list);
}

bool is_comment(const GraphLines& lines) {
  const char first = lines.fields().front().front();
  return first == '#' || first == '%';
}

// A list of edges alone becomes the form nodes: each node has one feature, itself (Kipf & Welling 2016, graphs
// without features), no label, and is of no part.
void parse_edges(GraphFile& file, GraphLines& lines) {
  std::vector<GraphEdge> edges;
  std::int64_t nodes = 0;
  while (lines.next()) {
    if (is_comment(lines)) continue;
    const std::int64_t from = lines.number("a node", 0, kMostFeatures - 1);
    const std::int64_t to = lines.number("a node", 0, kMostFeatures - 1);
    lines.end_of_line("the two ends of an edge");
    edges.push_back(read_ends(std::min(from, to), std::max(from, to), lines));
    nodes = std::max({nodes, from + 1, to + 1});
  }
  DETENTE_CHECK(!edges.empty(),
                ErrorCode::kData,
                "[data::parse_graph_file] '{}' has no edges; expected a line `u v` for each.",
                lines.source());
  constexpr std::int64_t kMostGaps = 1000;
  DETENTE_CHECK(nodes <= kMostGaps + 16 * static_cast<std::int64_t>(edges.size()),
                ErrorCode::kData,
                "[data::parse_graph_file] '{}' has {} edges and numbers its nodes up to {}; "
                "expected nodes numbered "
                "from 0 on, nearly without gaps.",
                lines.source(),
                edges.size(),
                nodes - 1);
  const auto before = [](const GraphEdge& a, const GraphEdge& b) {
    return std::pair(a.from, a.to) < std::pair(b.from, b.to);
  };
  std::stable_sort(edges.begin(), edges.end(), before);
  const auto same = [](const GraphEdge& a, const GraphEdge& b) {
    return a.from == b.from && a.to == b.to;
  };
  edges.erase(std::unique(edges.begin(), edges.end(), same), edges.end());
  const auto count = static_cast<std::size_t>(nodes);
  file.form = GraphForm::kNodes;
  file.feature_count = nodes;
  file.lines.assign(count, 1);
  file.labels.assign(count, -1);
  file.splits.assign(count, 3);
  file.first_feature.resize(count + 1);
  std::iota(file.first_feature.begin(), file.first_feature.end(), std::size_t{0});
  file.features.resize(count);
  std::iota(file.features.begin(), file.features.end(), 0);
  file.first_node.push_back(count);
  add_edges(file, count, edges);
}

// Each end has to name the other; then one of the two directions is the edge.
std::vector<GraphEdge> halve(std::vector<GraphEdge> ends, const GraphLines& lines) {
  const auto order = [](const GraphEdge& a, const GraphEdge& b) {
    return std::pair(a.from, a.to) < std::pair(b.from, b.to);
  };
  std::sort(ends.begin(), ends.end(), order);
  std::vector<GraphEdge> edges;
  for (const GraphEdge& end : ends) {
    if (end.from < end.to) edges.push_back(end);
    if (std::binary_search(ends.begin(), ends.end(), GraphEdge{end.to, end.from, 0, 0}, order))
      continue;
    fail(ErrorCode::kData,
         "[data::parse_graph_file] line {} of '{}': node {} has the neighbour {}, which does not "
         "have it in turn; expected every edge at both of its ends.",
         end.line,
         lines.source(),
         end.from,
         end.to);
  }
  return edges;
}

void parse_graphs(GraphFile& file, GraphLines& lines) {
  lines.demand("a first line with the number of graphs");
  const std::int64_t graphs = lines.number("the number of graphs", 1, kMostNodes);
  lines.end_of_line("the number of graphs");
  bool first = true;
  for (std::int64_t graph = 0; graph < graphs; ++graph) {
    lines.demand(fmt::format("{} graphs, got {}", graphs, graph));
    file.lines.push_back(lines.line());
    const std::int64_t nodes = lines.number("the number of nodes", 1, kMostNodes);
    file.labels.push_back(lines.number("the class",
                                       std::numeric_limits<std::int32_t>::min(),
                                       std::numeric_limits<std::int32_t>::max()));
    lines.end_of_line("the class");
    std::vector<GraphEdge> ends;
    for (std::int64_t node = 0; node < nodes; ++node) {
      lines.demand(fmt::format("{} lines of nodes of the graph from line {} on, got {}",
                               nodes,
                               file.lines.back(),
                               node));
      file.tags.push_back(lines.number("the tag",
                                       std::numeric_limits<std::int32_t>::min(),
                                       std::numeric_limits<std::int32_t>::max()));
      const std::int64_t degree = lines.number("the number of neighbours", 0, nodes - 1);
      for (std::int64_t i = 0; i < degree; ++i) {
        ends.push_back(read_ends(node, lines.number("a neighbour", 0, nodes - 1), lines));
      }
      if (first) file.attribute_count = lines.fields_left();
      first = false;
      if (lines.fields_left() != file.attribute_count) {
        lines.damage(fmt::format("has {} values after its neighbours; the first node has {}",
                                 lines.fields_left(),
                                 file.attribute_count));
      }
      while (lines.fields_left() > 0) {
        const auto text = lines.field("an attribute");
        const auto value = parse_cell(text);
        if (!value || !std::isfinite(*value)) {
          lines.damage(fmt::format("has the attribute '{}'; expected a finite number",
                                   text::printable(text.substr(0, 40))));
        }
        file.attributes.push_back(*value);
      }
    }
    file.first_node.push_back(file.tags.size());
    add_edges(file, static_cast<std::size_t>(nodes), halve(std::move(ends), lines));
  }
  lines.demand_end(fmt::format("the {} graphs that the first line promises", graphs));
}

// The `count` parts of a field between marks; a minus sign in front of a number is none.
std::vector<std::string_view> parts_of(std::string_view field,
                                       char mark,
                                       std::size_t count,
                                       const char* form,
                                       const GraphLines& lines) {
  std::vector<std::string_view> parts;
  std::string_view rest = field;
  while (true) {
    const std::size_t end = rest.find(mark);
    parts.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (parts.size() != count) {
    lines.damage(fmt::format("has '{}'; expected {}", text::printable(field.substr(0, 40)), form));
  }
  return parts;
}

void parse_molecules(GraphFile& file, GraphLines& lines) {
  lines.demand("a line per molecule");
  do {
    file.lines.push_back(lines.line());
    file.names.emplace_back(lines.field("the name"));
    const std::int64_t atoms = lines.number("the number of atoms", 1, kMostNodes);
    const std::int64_t bonds = lines.number("the number of bonds", 0, kMostNodes);
    const auto left = static_cast<std::int64_t>(lines.fields_left());
    if (left != atoms + bonds) {
      lines.damage(fmt::format(
          "has {} fields after its counts of {} atoms and {} bonds", left, atoms, bonds));
    }
    for (std::int64_t i = 0; i < atoms; ++i) {
      const auto parts =
          parts_of(lines.field("an atom"), ':', 4, "element:charge:hydrogens:aromatic", lines);
      Atom atom;
      atom.element =
          static_cast<std::int32_t>(lines.number_in(parts[0], "an element", 0, kMostElements));
      atom.charge = static_cast<std::int32_t>(
          lines.number_in(parts[1], "a charge", -kMostCharge, kMostCharge));
      atom.hydrogens =
          static_cast<std::int32_t>(lines.number_in(parts[2], "hydrogens", 0, kMostCharge));
      atom.aromatic = lines.number_in(parts[3], "an aromatic mark", 0, 1) == 1;
      file.atoms.push_back(atom);
    }
    std::vector<GraphEdge> edges;
    for (std::int64_t i = 0; i < bonds; ++i) {
      const auto parts = parts_of(lines.field("a bond"), '-', 3, "i-j-type", lines);
      const std::int64_t from = lines.number_in(parts[0], "an atom", 0, atoms - 1);
      const std::int64_t to = lines.number_in(parts[1], "an atom", 0, atoms - 1);
      edges.push_back(read_ends(from, to, lines));
      edges.back().type = static_cast<std::uint8_t>(
          lines.number_in(parts[2], "a type of bond", 1, static_cast<std::int64_t>(kBondTypes)));
    }
    file.first_node.push_back(file.atoms.size());
    add_edges(file, static_cast<std::size_t>(atoms), edges);
  } while (lines.next());
}

GraphForm form_of(const std::string& content, const std::string& source) {
  GraphLines lines(content, source);
  if (!lines.next()) return GraphForm::kNodes;
  if (is_comment(lines)) return GraphForm::kEdges;
  const auto are_numbers = [](const std::vector<std::string_view>& fields, std::size_t count) {
    return fields.size() == count &&
           std::all_of(fields.begin(), fields.end(), [](std::string_view field) {
             return whole_number<std::int64_t>(field).has_value();
           });
  };
  const std::string first = content.substr(0, content.find('\n'));
  GraphLines edge(first, source, kBlanksInEdges);
  if (edge.next() && are_numbers(edge.fields(), 2)) return GraphForm::kEdges;
  if (are_numbers(lines.fields(), 4)) return GraphForm::kNodes;
  return lines.fields().size() == 1 ? GraphForm::kGraphs : GraphForm::kMolecules;
}

}  // namespace

const char* name_of(GraphForm form) {
  switch (form) {
    case GraphForm::kAuto:
      return "auto";
    case GraphForm::kNodes:
      return "nodes";
    case GraphForm::kGraphs:
      return "graphs";
    case GraphForm::kMolecules:
      return "molecules";
    case GraphForm::kEdges:
      return "edges";
  }
  return "auto";
}

bool GraphFile::linked(std::size_t node, std::size_t other) const {
  const auto begin = neighbours.begin() + static_cast<std::ptrdiff_t>(first_neighbour[node]);
  return std::binary_search(
      begin, begin + static_cast<std::ptrdiff_t>(degree(node)), static_cast<std::int32_t>(other));
}

GraphFile read_graph_file(const std::filesystem::path& path, GraphForm form) {
  return parse_graph_file(read_file(path), path.string(), form);
}

GraphFile parse_graph_file(const std::string& content, const std::string& source, GraphForm form) {
  DETENTE_CHECK(content.find_first_not_of(" \t\r\n") != std::string::npos,
                ErrorCode::kData,
                "[data::parse_graph_file] '{}' is empty; expected graphs (docs/data.md).",
                source);
  GraphFile file;
  file.source = source;
  file.form = form == GraphForm::kAuto ? form_of(content, source) : form;
  file.first_node = {0};
  file.first_neighbour = {0};
  if (file.form == GraphForm::kEdges) {
    GraphLines edges(content, source, kBlanksInEdges);
    parse_edges(file, edges);
    return file;
  }
  GraphLines lines(content, source);
  if (file.form == GraphForm::kNodes) {
    parse_nodes(file, lines);
  } else if (file.form == GraphForm::kGraphs) {
    parse_graphs(file, lines);
  } else {
    parse_molecules(file, lines);
  }
  return file;
}

}  // namespace detente::data
