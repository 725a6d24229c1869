// SPDX-License-Identifier: Apache-2.0
// Regions that somebody has drawn on a slide, each with a class, in pixels of level 0.
//
//   GeoJSON (.geojson, .json)  a feature, a collection of them or a list, geometries Polygon and MultiPolygon,
//                              holes included; the class: properties.classification.name, else
//                              properties.classification (a word), properties.class or properties.name (QuPath)
//   XML (.xml)                 Aperio ImageScope (Annotation, Region, Vertex X Y; the class: the region's Text,
//                              else the annotation's Name) and ASAP (Annotation PartOfGroup, Coordinate X Y;
//                              the class: PartOfGroup, else Name)
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::data {

struct Point {
  double x = 0;
  double y = 0;
};

struct AnnotatedRegion {
  std::string name;
  std::vector<std::vector<Point>> rings;  // inside: within an odd number of them
  Point least, most;                      // a box around all of it

  // Sets the box; at least one ring, none of them empty.
  void take_box();
  bool contains(Point point) const;
};

struct SlideAnnotations {
  std::vector<AnnotatedRegion> regions;  // of several that cover a place, the last counts
  std::size_t skipped = 0;               // lines, points, regions without a class

  // The class that covers the largest part of a rectangle, by kSamples x kSamples places in it; empty where
  // none covers `least` (0..1) of it.
  std::string class_of(double x, double y, double width, double height, double least) const;
  static constexpr int kSamples = 8;
};

// Throws kIo, and kData, naming the file: another ending, JSON or XML that is none, a number that is none.
SlideAnnotations read_slide_annotations(const std::filesystem::path& file);
SlideAnnotations parse_slide_geojson(const std::string& text, const std::string& source);
SlideAnnotations parse_slide_xml(const std::string& text, const std::string& source);

}  // namespace detente::data
