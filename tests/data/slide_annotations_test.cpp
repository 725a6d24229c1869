// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/slide_annotations.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <string>

namespace detente::data {
namespace {

using test::said;
using ::testing::HasSubstr;

std::string feature(const std::string& properties, const std::string& geometry) {
  return R"({"type":"Feature","properties":)" + properties + R"(,"geometry":)" + geometry + "}";
}
const std::string kSquare =
    R"({"type":"Polygon","coordinates":[[[0,0],[100,0],[100,100],[0,100],[0,0]]]})";
// A square with a hole in its middle.
const std::string kFrame =
    R"({"type":"Polygon","coordinates":[[[0,0],[90,0],[90,90],[0,90]],[[30,30],[60,30],[60,60],[30,60]]]})";

TEST(SlideAnnotations, GeoJsonInEveryFormThatPeopleHave) {
  const std::string one = feature(R"({"classification":{"name":"Tumor"}})", kSquare);
  for (const std::string& text : {one,
                                  "[" + one + "]",
                                  R"({"type":"FeatureCollection","features":[)" + one + "]}",
                                  feature(R"({"classification":"Tumor"})", kSquare),
                                  feature(R"({"class":"Tumor"})", kSquare),
                                  feature(R"({"name":"Tumor","classification":null})", kSquare)}) {
    const SlideAnnotations found = parse_slide_geojson(text, "a");
    ASSERT_EQ(found.regions.size(), 1U) << text;
    EXPECT_EQ(found.regions[0].name, "Tumor");
    EXPECT_EQ(found.class_of(10, 10, 20, 20, 0.5), "Tumor");
    EXPECT_EQ(found.class_of(200, 10, 20, 20, 0.5), "");
  }
}

TEST(SlideAnnotations, HolesAreOutsideAndPartsOfAMultiPolygonAreAllInside) {
  const auto frame = parse_slide_geojson(feature(R"({"class":"rim"})", kFrame), "a");
  EXPECT_TRUE(frame.regions[0].contains({10, 45}));
  EXPECT_FALSE(frame.regions[0].contains({45, 45}));
  EXPECT_FALSE(frame.regions[0].contains({95, 45}));
  const auto two = parse_slide_geojson(
      feature(
          R"({"class":"x"})",
          R"({"type":"MultiPolygon","coordinates":[[[[0,0],[9,0],[9,9]]],[[[50,50],[90,50],[90,90],[50,90]]]]})"),
      "a");
  EXPECT_EQ(two.class_of(60, 60, 10, 10, 1), "x");
  EXPECT_EQ(two.class_of(20, 20, 10, 10, 0.01), "");
}

TEST(SlideAnnotations, ATileBelongsToWhatCoversEnoughOfIt) {
  SlideAnnotations two = parse_slide_geojson(
      "[" + feature(R"({"class":"left"})", kSquare) + "," +
          feature(R"({"class":"right"})",
                  R"({"type":"Polygon","coordinates":[[[100,0],[200,0],[200,100],[100,100]]]})") +
          "]",
      "a");
  EXPECT_EQ(two.class_of(60, 0, 60, 60, 0.5), "left") << "40 of 60 columns";
  EXPECT_EQ(two.class_of(60, 0, 60, 60, 0.8), "");
  EXPECT_EQ(two.class_of(85, 0, 60, 60, 0.5), "right");
  // What is drawn last lies on top.
  two.regions.push_back(two.regions[0]);
  two.regions.back().name = "top";
  EXPECT_EQ(two.class_of(10, 10, 10, 10, 0.5), "top");
}

TEST(SlideAnnotations, XmlOfBothViewers) {
  const std::string aperio = R"(<?xml version="1.0"?><!-- drawn -->
<Annotations MicronsPerPixel="0.5"><Annotation Id="1" Name="stroma &amp; fat"><Regions>
<Region Id="1" Text=""><Vertices><Vertex X="0" Y="0" Z="0"/><Vertex X="10" Y="0"/><Vertex X='10' Y='10'/></Vertices></Region>
<Region Id="2" Text="gland"><Vertices><Vertex X="20" Y="0"/><Vertex X="40" Y="0"/><Vertex X="40.5" Y="20"/><Vertex X="20" Y="2e1"/></Vertices></Region>
</Regions></Annotation></Annotations>)";
  const SlideAnnotations found = parse_slide_xml(aperio, "a");
  ASSERT_EQ(found.regions.size(), 2U);
  EXPECT_EQ(found.regions[0].name, "stroma & fat");
  EXPECT_EQ(found.class_of(22, 2, 10, 10, 1), "gland");
  const SlideAnnotations asap = parse_slide_xml(
      R"(<ASAP_Annotations><Annotations><Annotation Name="A 0" Type="Polygon" PartOfGroup="Tumor"><Coordinates>
<Coordinate Order="0" X="0" Y="0"/><Coordinate Order="1" X="8" Y="0"/><Coordinate Order="2" X="8" Y="8"/></Coordinates></Annotation>
<Annotation Name="B" Type="Polygon" PartOfGroup="None"><Coordinates><Coordinate X="0" Y="0"/><Coordinate X="1" Y="0"/></Coordinates></Annotation>
</Annotations></ASAP_Annotations>)",
      "a");
  ASSERT_EQ(asap.regions.size(), 1U);
  EXPECT_EQ(asap.regions[0].name, "Tumor");
  EXPECT_EQ(asap.skipped, 1U) << "a line is no region";
}

TEST(SlideAnnotations, WhatIsNoneIsSaid) {
  for (const char* text : {"", "{", "3", "{\"type\":\"Point\"}", "[3]", "{\"features\":{}}"}) {
    EXPECT_THAT(said([&] { parse_slide_geojson(text, "q.geojson"); }), HasSubstr("q.geojson"))
        << text;
  }
  EXPECT_THAT(said([] {
                parse_slide_geojson(
                    feature(R"({"class":"x"})", R"({"type":"Polygon","coordinates":[[["a",0]]]})"),
                    "q");
              }),
              HasSubstr("not two numbers"));
  for (const char* text : {"", "<a", "<a b>", "<a b=c>", "<a b=\"c>", "<!-- ", "<a></a>"}) {
    EXPECT_THAT(said([&] { parse_slide_xml(text, "q.xml"); }), HasSubstr("q.xml")) << text;
  }
  EXPECT_THAT(said([] {
                parse_slide_xml(
                    "<Annotation Name='a'><Region><Vertex X='nan' Y='1'/></Region></Annotation>",
                    "q");
              }),
              HasSubstr("no number"));
  test::TempDir folder;
  folder.write("a.txt", "x");
  EXPECT_THAT(said([&] { read_slide_annotations(folder.file("a.txt")); }), HasSubstr("ending"));
  // A point, a line and a region without a class cost themselves alone.
  const auto found = parse_slide_geojson(
      "[" + feature("{}", kSquare) + "," +
          feature(R"({"class":"x"})", R"({"type":"Point","coordinates":[1,2]})") + "," +
          feature(R"({"class":"x"})", "null") + "]",
      "a");
  EXPECT_TRUE(found.regions.empty());
  EXPECT_EQ(found.skipped, 3U);
}

}  // namespace
}  // namespace detente::data
