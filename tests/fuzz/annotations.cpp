// SPDX-License-Identifier: Apache-2.0
// Regions drawn on slides: the first byte is the form, the rest the file.
#include <detente/data/slide_annotations.h>

#include <cmath>

#include "fuzz.h"

using namespace detente;

FUZZ(data, size) {
  if (size == 0) return;
  fuzz::survive([&] {
    const std::string text(fuzz::text_of(data + 1, size - 1));
    const data::SlideAnnotations found = data[0] % 2 == 0 ? data::parse_slide_geojson(text, "file")
                                                          : data::parse_slide_xml(text, "file");
    fuzz::expect(found.regions.size() <= size && found.skipped <= size, "no more than text");
    for (const data::AnnotatedRegion& region : found.regions) {
      fuzz::expect(!region.name.empty() && !region.rings.empty(), "regions have names and rings");
      for (const auto& ring : region.rings) {
        fuzz::expect(ring.size() >= 3, "a ring is more than a line");
        for (const data::Point& point : ring) {
          fuzz::expect(std::isfinite(point.x) && std::isfinite(point.y), "points are numbers");
        }
      }
      fuzz::expect(!region.contains({region.most.x + 1, region.most.y}), "outside of its box");
    }
    const std::string name = found.class_of(0, 0, 8, 8, 0.5);
    fuzz::expect(name.empty() || !found.regions.empty(), "a class of a region");
  });
}
