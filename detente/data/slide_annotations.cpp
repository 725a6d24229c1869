// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/slide_annotations.h>
#include <detente/data/table.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace detente::data {
namespace {

constexpr std::size_t kMostPoints = 20'000'000;

[[noreturn]] void refuse(const std::string& source, const std::string& reason) {
  fail(ErrorCode::kData,
       "[data::read_slide_annotations] '{}' {}; expected GeoJSON polygons, or the XML of Aperio "
       "ImageScope or ASAP.",
       source,
       reason);
}

void keep(SlideAnnotations& into, AnnotatedRegion region) {
  std::erase_if(region.rings, [](const auto& ring) { return ring.size() < 3; });
  if (region.rings.empty() || region.name.empty()) {
    ++into.skipped;
    return;
  }
  region.take_box();
  into.regions.push_back(std::move(region));
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string class_of_feature(const Json& feature) {
  const auto properties = feature.find("properties");
  if (properties == feature.end() || !properties->is_object()) return "";
  const auto classification = properties->find("classification");
  if (classification != properties->end() && classification->is_object()) {
    if (std::string name = text_of(*classification, "name"); !name.empty()) return name;
  }
  for (const char* key : {"classification", "class", "name"}) {
    if (std::string name = text_of(*properties, key); !name.empty()) return name;
  }
  return "";
}

struct GeoJsonReader {
  const std::string& source;
  SlideAnnotations found;
  std::size_t points = 0;

  std::vector<Point> ring(const Json& list) {
    std::vector<Point> ring;
    if (!list.is_array()) refuse(source, "has a polygon that is no list of points");
    for (const Json& point : list) {
      if (!point.is_array() || point.size() < 2 || !point[0].is_number() || !point[1].is_number()) {
        refuse(source, "has a polygon with a point that is not two numbers");
      }
      if (++points > kMostPoints) refuse(source, "has more than 20 million points");
      ring.push_back({point[0].get<double>(), point[1].get<double>()});
    }
    return ring;
  }

  void polygon(const Json& rings, const std::string& name) {
    if (!rings.is_array()) refuse(source, "has a polygon that is no list of rings");
    AnnotatedRegion region{.name = name, .rings = {}, .least = {}, .most = {}};
    for (const Json& list : rings) region.rings.push_back(ring(list));
    keep(found, std::move(region));
  }

  void feature(const Json& feature) {
    const auto geometry = feature.find("geometry");
    const std::string name = class_of_feature(feature);
    if (geometry == feature.end() || !geometry->is_object() || name.empty()) {
      ++found.skipped;
      return;
    }
    const std::string type = text_of(*geometry, "type");
    const auto coordinates = geometry->find("coordinates");
    const bool polygons = type == "Polygon" || type == "MultiPolygon";
    if (polygons && coordinates == geometry->end()) refuse(source, "has a polygon without points");
    if (type == "Polygon") {
      polygon(*coordinates, name);
    } else if (type == "MultiPolygon") {
      if (!coordinates->is_array()) refuse(source, "has polygons that are no list");
      for (const Json& rings : *coordinates) polygon(rings, name);
    } else {
      ++found.skipped;
    }
  }

  void all(const Json& json) {
    const auto features = json.is_object() ? json.find("features") : json.end();
    if (json.is_array() || (json.is_object() && features != json.end())) {
      const Json& list = json.is_array() ? json : *features;
      if (!list.is_array()) refuse(source, "has features that are no list");
      for (const Json& one : list) {
        if (!one.is_object()) refuse(source, "has a feature that is no object");
        feature(one);
      }
    } else if (json.is_object() && text_of(json, "type") == "Feature") {
      feature(json);
    } else {
      refuse(source, "has no features");
    }
  }
};

// A start tag, with its attributes' entities replaced; an end tag's name begins with '/'.
struct Tag {
  std::string name;
  std::map<std::string, std::string, std::less<>> attributes;
  bool closed = false;  // <name/>

  std::string of(std::string_view key) const {
    const auto found = attributes.find(key);
    return found == attributes.end() ? "" : found->second;
  }
};

std::string without_entities(std::string_view text) {
  static const std::pair<const char*, const char*> kEntities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&amp;", "&"}};
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    const auto* entity = std::find_if(std::begin(kEntities), std::end(kEntities), [&](auto& pair) {
      return text.substr(i).starts_with(pair.first);
    });
    if (entity == std::end(kEntities)) {
      plain += text[i++];
    } else {
      plain += entity->second;
      i += std::string_view(entity->first).size();
    }
  }
  return plain;
}

// Both formats say all they have to say in attributes, so a walk from tag to tag is all of XML that is
// needed: neither entities of a document's own nor other documents are ever looked at.
class TagReader {
 public:
  TagReader(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  std::optional<Tag> next() {
    for (;;) {
      const std::size_t open = text_.find('<', at_);
      if (open == std::string_view::npos) return std::nullopt;
      if (skipped(open, "<!--", "-->") || skipped(open, "<![CDATA[", "]]>") ||
          skipped(open, "<?", "?>") || skipped(open, "<!", ">")) {
        continue;
      }
      return read(open + 1);
    }
  }

 private:
  bool skipped(std::size_t open, std::string_view begin, std::string_view end) {
    if (text_.substr(open, begin.size()) != begin) return false;
    const std::size_t close = text_.find(end, open + begin.size());
    if (close == std::string_view::npos) refuse(source_, "is XML that ends too early");
    at_ = close + end.size();
    return true;
  }

  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  char here() const {
    if (at_ >= text_.size()) refuse(source_, "is XML that ends too early");
    return text_[at_];
  }
  std::string word(std::string_view ends) {
    const std::size_t begin = at_;
    while (!is_blank(here()) && ends.find(here()) == std::string_view::npos) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  Tag read(std::size_t begin) {
    at_ = begin;
    Tag tag;
    if (here() == '/') {
      tag.name = "/";
      ++at_;
    }
    tag.name += word("/>");
    for (;;) {
      skip_blanks();
      if (here() == '>') {
        ++at_;
        return tag;
      }
      if (here() == '/') {
        tag.closed = true;
        ++at_;
        continue;
      }
      std::string key = word("=/>");
      skip_blanks();
      if (here() != '=' || key.empty()) refuse(source_, "is XML with an attribute without a value");
      ++at_;
      skip_blanks();
      const char quote = here();
      if (quote != '"' && quote != '\'') refuse(source_, "is XML with a value without quotes");
      const std::size_t close = text_.find(quote, at_ + 1);
      if (close == std::string_view::npos) refuse(source_, "is XML that ends too early");
      tag.attributes[std::move(key)] = without_entities(text_.substr(at_ + 1, close - at_ - 1));
      at_ = close + 1;
    }
  }

  std::string_view text_;
  const std::string& source_;
  std::size_t at_ = 0;
};

bool crosses(const Point& a, const Point& b, const Point& point) {
  return (a.y > point.y) != (b.y > point.y) &&
         point.x < (b.x - a.x) * (point.y - a.y) / (b.y - a.y) + a.x;
}

}  // namespace

void AnnotatedRegion::take_box() {
  least = most = rings.front().front();
  for (const auto& ring : rings) {
    for (const Point& point : ring) {
      least = {std::min(least.x, point.x), std::min(least.y, point.y)};
      most = {std::max(most.x, point.x), std::max(most.y, point.y)};
    }
  }
}

bool AnnotatedRegion::contains(Point point) const {
  if (point.x < least.x || point.x > most.x || point.y < least.y || point.y > most.y) return false;
  bool inside = false;
  for (const auto& ring : rings) {
    for (std::size_t i = 0; i < ring.size(); ++i) {
      if (crosses(ring[i], ring[i == 0 ? ring.size() - 1 : i - 1], point)) inside = !inside;
    }
  }
  return inside;
}

std::string SlideAnnotations::class_of(
    double x, double y, double width, double height, double least) const {
  std::map<std::string_view, int> counts;
  std::vector<const AnnotatedRegion*> near;
  for (const AnnotatedRegion& region : regions) {
    if (region.most.x >= x && region.least.x <= x + width && region.most.y >= y &&
        region.least.y <= y + height) {
      near.push_back(&region);
    }
  }
  for (int i = 0; i < kSamples * kSamples && !near.empty(); ++i) {
    const Point place{x + width * (i % kSamples + 0.5) / kSamples,
                      y + height * (i / kSamples + 0.5) / kSamples};
    const auto found = std::find_if(near.rbegin(), near.rend(), [&](const AnnotatedRegion* region) {
      return region->contains(place);
    });
    if (found != near.rend()) ++counts[(*found)->name];
  }
  const auto best =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      });
  const bool enough = best != counts.end() && best->second >= least * kSamples * kSamples;
  return enough ? std::string(best->first) : "";
}

SlideAnnotations parse_slide_geojson(const std::string& text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) refuse(source, "is no JSON");
  GeoJsonReader reader{.source = source, .found = {}};
  reader.all(json);
  return std::move(reader.found);
}

SlideAnnotations parse_slide_xml(const std::string& text, const std::string& source) {
  TagReader reader(text, source);
  SlideAnnotations found;
  std::optional<AnnotatedRegion> region;
  std::string annotation;
  std::size_t points = 0;
  bool known = false;
  const auto end = [&] {
    if (region) keep(found, std::move(*region));
    region.reset();
  };
  const auto begin = [&](std::string name) {
    end();
    region = AnnotatedRegion{.name = std::move(name), .rings = {{}}, .least = {}, .most = {}};
  };
  while (const std::optional<Tag> tag = reader.next()) {
    if (tag->name == "Annotation") {
      known = true;
      end();
      const std::string group = tag->of("PartOfGroup");
      annotation = group.empty() || group == "None" ? tag->of("Name") : group;
    } else if (tag->name == "Region") {
      begin(tag->of("Text").empty() ? annotation : tag->of("Text"));
    } else if (tag->name == "Coordinates") {
      begin(annotation);
    } else if ((tag->name == "Vertex" || tag->name == "Coordinate") && region) {
      const auto x = parse_cell(tag->of("X"));
      const auto y = parse_cell(tag->of("Y"));
      if (!x || !y || !std::isfinite(*x) || !std::isfinite(*y)) {
        refuse(source, "has a point whose X or Y is no number");
      }
      if (++points > kMostPoints) refuse(source, "has more than 20 million points");
      region->rings[0].push_back({*x, *y});
    } else if (tag->name == "/Region" || tag->name == "/Coordinates" ||
               tag->name == "/Annotation") {
      end();
    }
  }
  end();
  if (!known) refuse(source, "has no element Annotation");
  return found;
}

SlideAnnotations read_slide_annotations(const std::filesystem::path& file) {
  const std::string ending = lower_ascii(file.extension().string());
  const std::string name = file.string();
  if (ending == ".xml") return parse_slide_xml(read_file(file), name);
  if (ending == ".geojson" || ending == ".json") return parse_slide_geojson(read_file(file), name);
  refuse(name, "has an ending that says nothing of its format");
}

}  // namespace detente::data
