// SPDX-License-Identifier: Apache-2.0
// Tiles of whole slides as a source: read when they are asked for, by processes of their own
// (slides/slide_reader.h), so neither the number of tiles nor the size of slides takes memory.
//
//   slides   a table with a row per slide, or folders of them per class: their tiles by a plan
//            (data/tile_plan.h) are the examples, and each has its slide's targets. Columns x, y, level, mpp and
//            tissue are added, and with `annotations` one that is called so: the class drawn over the tile
//   tiles    a table that has columns x and y (as `detente slide tiles` writes it): a row per tile
//
// No slide is in two parts, whatever the split. A slide that cannot be read costs itself alone: what the start
// finds is left out with a warning; what is found later has blank tiles without targets from there on, and
// news() tells.
//
// Fitted: means and deviations of channels over kScaleTiles tiles.
#pragma once

#include <detente/data/picture_source.h>
#include <detente/data/tile_plan.h>
#include <detente/data/tile_store.h>
#include <detente/slides/slide_reader.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::data {

inline constexpr std::size_t kScaleTiles = 256;

// By the ending: what OpenSlide's formats are called, in any case.
bool has_slide_name(const std::filesystem::path& path);

// How slides are read; the recipe's keys beside the tiles' own.
struct SlideReading {
  std::int64_t workers = 1;
  std::int64_t timeout_s = 60;        // for one tile
  std::int64_t worker_memory = 4096;  // MiB of address space
};
using MakeSlideReader = std::function<std::shared_ptr<slides::SlideReader>(const SlideReading&)>;

class SlideSource final : public PictureSource {
 public:
  // `make`: who reads, made when the first slide is; default: worker processes.
  explicit SlideSource(MakeSlideReader make = {});
  ~SlideSource() override;

  const char* kind() const override { return "slides"; }
  void describe(FieldVisitor& data) override;
  std::vector<std::string> named_inputs() const override;
  std::unique_ptr<Source> fresh() const override;
  void check_options() const override;

  void expect(std::span<const std::size_t> rows) const override;
  // What was found out since the last call about slides that cannot be read.
  std::vector<std::string> news() const override;
  // Tiles are near each other where their slides are.
  void settle() override;
  Locality locality() const override;
  // NaN for tiles of slides that cannot be read.
  Batch target_batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  // Of the plan and the slides' sizes and hashes, not of their pixels.
  std::string digest() const override;
  // slides.json, and the plan of the training tiles as slide_tiles.csv.
  void save(const std::filesystem::path& run) const override;
  void load(const std::filesystem::path& run) override;
  std::vector<ShownColumn> shown() const override { return shown_columns(table_); }
  std::vector<std::string> notes() const override;

  // The tiles as a table (CSV) that data.train may name; the slides' files as they were named, or as they are
  // found from a folder.
  std::string plan_text(const std::filesystem::path& beside = {}) const;
  // The slides that have tiles here.
  std::size_t slides() const { return files_.size(); }
  const std::string& file(std::size_t slide) const { return files_[slide]; }
  const PlacedTile& tile(std::size_t row) const { return tiles_[row]; }
  // All of a slide, its longer side `side` pixels at most, and where its tiles are in that. Nothing for one
  // that cannot be read.
  struct Overview {
    struct Place {
      std::size_t row = 0;  // the tile
      std::size_t left = 0, top = 0, right = 0, bottom = 0;
    };
    slides::Picture picture;
    double scale_x = 1;  // pixels of level 0 to one of the picture
    double scale_y = 1;
    std::vector<Place> tiles;
  };
  std::optional<Overview> overview(std::size_t slide, std::int64_t side) const;
  slides::ReaderStatistics statistics() const;

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;
  void write_example(std::size_t row, std::uint8_t* out) const override;

 private:
  // The slides of the table, and of each of its rows (a slide's, or a tile's) which one it is of.
  struct Listed {
    Table table;
    std::vector<std::string> files;  // of each row
    bool of_tiles = false;
  };

  Listed list(const SourceInput& input);
  // Fills tiles_, groups_ and table_.
  void plan_slides(const Listed& listed, bool training);
  void place_tiles(const Listed& listed);
  slides::SlideReader& reader();
  // Nothing, having warned, for a slide that cannot be read. kData where only the recipe is to blame.
  std::optional<TileScale> open_slide(const std::string& file, slides::SlideInfo& info);
  std::size_t add_slide(const std::string& file, const slides::SlideInfo& info);
  void leave_slide_out(const std::string& file, const std::string& reason);

  std::string column_ = "slide";
  std::string annotations_;
  double annotation_share_ = 0.5;
  std::int64_t window_ = 8;
  std::int64_t memory_ = 256;  // MiB
  SlideReading reading_;
  TileOptions options_;
  MakeSlideReader make_;

  std::shared_ptr<slides::SlideReader> reader_;
  std::vector<std::string> files_;       // of the slides that have tiles
  std::vector<std::string> identities_;  // what digest() knows them by
  std::vector<slides::SlideInfo> infos_;
  std::vector<PlacedTile> tiles_;
  std::vector<std::uint32_t> groups_;  // of each tile: the slide
  std::optional<Table> table_;
  std::string source_;
  std::size_t left_out_ = 0;
  std::size_t without_tissue_ = 0;
  std::unique_ptr<TileStore> store_;
};

}  // namespace detente::data
