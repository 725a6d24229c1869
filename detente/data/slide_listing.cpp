// SPDX-License-Identifier: Apache-2.0
// Which tiles a SlideSource has: from a table of slides, or one of tiles.
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/data/slide_annotations.h>
#include <detente/data/slide_source.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kAnnotation = "annotation";
constexpr const char* kQuickHash = "openslide.quickhash-1";
// Overviews that are read before they are looked at.
constexpr std::size_t kAhead = 8;

const FileKind kSlideFiles{"slide", ".svs, .tif, .tiff, .ndpi, .mrxs, .scn, ...", has_slide_name};

// A column per added fact about a tile.
struct TileColumns {
  std::vector<std::string> x, y, level, mpp, tissue, annotation;
};

std::int64_t whole_cell(const Table& table, std::size_t row, const char* column) {
  const auto value = parse_cell(table.cell(row, table.column_index(column)));
  DETENTE_CHECK(
      value && std::abs(*value) < 1e12,
      ErrorCode::kData,
      "[data::SlideSource] line {} of '{}': '{}' is no place of a tile; expected a number "
      "of pixels in column '{}'.",
      table.line(row),
      table.source(row),
      table.cell(row, table.column_index(column)),
      column);
  return static_cast<std::int64_t>(std::llround(*value));
}

// Throws where tiles of one slide are in `chosen` and beside it.
void check_slides_are_whole(const Table& table,
                            const std::vector<std::string>& files,
                            const RowList& chosen,
                            const std::string& column) {
  std::set<std::string> inside;
  for (const std::size_t row : chosen) inside.insert(files[row]);
  std::size_t next = 0;
  for (std::size_t row = 0; row < files.size(); ++row) {
    if (next < chosen.size() && chosen[next] == row) {
      ++next;
      continue;
    }
    DETENTE_CHECK(
        !inside.contains(files[row]),
        ErrorCode::kData,
        "[data::SlideSource] the split of '{}' has tiles of '{}' in two parts (line {}), "
        "so what is measured would be known; expected whole slides: data.split.group: {}, "
        "or a patient's column.",
        table.source(),
        files[row],
        table.line(row),
        column);
  }
}

}  // namespace

bool has_slide_name(const std::filesystem::path& path) {
  static const std::set<std::string> kEndings = {".svs",
                                                 ".tif",
                                                 ".tiff",
                                                 ".ndpi",
                                                 ".mrxs",
                                                 ".scn",
                                                 ".vms",
                                                 ".vmu",
                                                 ".bif",
                                                 ".svslide",
                                                 ".dcm",
                                                 ".czi"};
  return kEndings.contains(lower_ascii(path.extension().string()));
}

void SlideSource::leave_slide_out(const std::string& file, const std::string& reason) {
  ++left_out_;
  warnings_.push_back(fmt::format("A slide is left out: {} ({})", file, reason));
}

std::optional<TileScale> SlideSource::open_slide(const std::string& file, slides::SlideInfo& info) {
  try {
    info = reader().info(file);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData) throw;
    leave_slide_out(file, error.what());
    return std::nullopt;
  }
  return tile_scale(info, options_, file);
}

std::size_t SlideSource::add_slide(const std::string& file, const slides::SlideInfo& info) {
  const auto hash = info.properties.find(kQuickHash);
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  identities_.push_back(fmt::format("{} {} {} x {}",
                                    hash == info.properties.end() ? "" : hash->second,
                                    error ? 0 : bytes,
                                    info.levels.front().width,
                                    info.levels.front().height));
  files_.push_back(file);
  infos_.push_back(info);
  infos_.back().properties.clear();
  return files_.size() - 1;
}

SlideSource::Listed SlideSource::list(const SourceInput& input) {
  const bool training = fit_.means.empty() && input.part == Part::kTrain;
  const std::string path = input.files.file(input.part);
  const ImageListing listing{.path = path,
                             .format = input.files.format,
                             .column = column_,
                             .classes = fit_.classes,
                             .labels = training || !input.targets.empty(),
                             .given = input.files.given.get()};
  std::optional<FileRows> rows = list_files(listing, kSlideFiles);
  if (!rows) {
    rows = FileRows{Table::made({column_}, {{path}}, path), {path}, fit_.classes, {}, false};
  }
  warnings_ = rows->warnings;
  fit_.classes = rows->classes;
  SourceFiles files = input.files;
  Listed listed{rows->table, {}, rows->table.has_column("x") && rows->table.has_column("y")};
  if (listed.of_tiles) {
    if (files.split.any() && files.split.group.empty() && files.split.time.empty() &&
        files.split.column.empty()) {
      files.split.group = column_;
    }
  } else {
    DETENTE_CHECK(
        files.drop.empty(),
        ErrorCode::kInvalidArgument,
        "[data::SlideSource] 'data.drop' leaves out rows, and '{}' has a row per slide; "
        "expected a list of tiles: detente slide tiles {} --out tiles.csv, then data.train: "
        "tiles.csv.",
        path,
        path);
    files.max_rows = 0;
  }
  std::vector<std::string> all;
  for (const auto& file : rows->files) all.push_back(file.string());
  const RowList chosen = files.chosen_rows(input.part, rows->table);
  SourceFiles whole = files;
  whole.drop.clear();
  whole.max_rows = 0;
  check_slides_are_whole(rows->table, all, whole.chosen_rows(input.part, rows->table), column_);
  for (const std::size_t row : chosen) {
    std::error_code error;
    DETENTE_CHECK(std::filesystem::exists(all[row], error),
                  ErrorCode::kIo,
                  "[data::SlideSource] there is no slide '{}'{}.",
                  all[row],
                  rows->is_list ? fmt::format(", which line {} of '{}' names",
                                              rows->table.line(row),
                                              rows->table.source(row))
                                : "");
    listed.files.push_back(all[row]);
  }
  listed.table = rows->table.select(chosen);
  return listed;
}

void SlideSource::plan_slides(const Listed& listed, bool training) {
  struct Waiting {
    std::size_t row;
    slides::SlideInfo info;
    TileScale scale;
    slides::Region region;
    slides::SlideReader::Ticket ticket;
  };
  const Table& table = listed.table;
  // Slides to predict need no regions.
  const bool drawn = !annotations_.empty() && (training || table.has_column(annotations_));
  const std::size_t annotated = drawn ? table.column_index(annotations_) : 0;
  std::vector<std::vector<std::string>> cells(table.columns());
  TileColumns added;
  std::size_t next = 0;
  std::vector<Waiting> waiting;
  while (next < table.rows() || !waiting.empty()) {
    while (next < table.rows() && waiting.size() < kAhead) {
      const std::size_t row = next++;
      Waiting one{.row = row, .info = {}, .scale = {}, .region = {}, .ticket = 0};
      const std::optional<TileScale> scale = open_slide(listed.files[row], one.info);
      if (!scale) continue;
      one.scale = *scale;
      one.region = overview_region(one.info, one.scale);
      one.ticket = reader().ask(listed.files[row], one.region);
      waiting.push_back(std::move(one));
    }
    if (waiting.empty()) break;
    const Waiting one = std::move(waiting.front());
    waiting.erase(waiting.begin());
    const std::string& file = listed.files[one.row];
    slides::Picture overview;
    try {
      overview = reader().take(one.ticket);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kData) throw;
      leave_slide_out(file, error.what());
      continue;
    }
    const auto [scale_x, scale_y] = overview_scale(one.info, one.region);
    const TissueMask mask(overview, scale_x, scale_y);
    const TilePlan plan =
        plan_tiles(one.info, one.scale, mask, options_, file, table.place(one.row));
    without_tissue_ += plan.without_tissue;
    if (plan.tiles.empty()) {
      leave_slide_out(file, "none of its tiles has enough tissue, data.tissue");
      continue;
    }
    SlideAnnotations annotations;
    if (drawn) {
      const std::string name(table.cell(one.row, annotated));
      if (!is_missing(name)) {
        annotations = read_slide_annotations(
            std::filesystem::path(table.source(one.row)).parent_path() / name);
      }
    }
    const std::size_t slide = add_slide(file, one.info);
    for (const Tile& tile : plan.tiles) {
      tiles_.push_back({static_cast<std::uint32_t>(slide),
                        tile_region(one.scale, tile.x, tile.y, options_.size)});
      for (std::size_t c = 0; c < cells.size(); ++c) {
        cells[c].emplace_back(table.cell(one.row, c));
      }
      added.x.push_back(std::to_string(tile.x));
      added.y.push_back(std::to_string(tile.y));
      added.level.push_back(std::to_string(one.scale.level));
      added.mpp.push_back(number_text(options_.mpp));
      added.tissue.push_back(fmt::format("{:.4f}", tile.tissue));
      if (!drawn) continue;
      added.annotation.push_back(annotations.class_of(static_cast<double>(tile.x),
                                                      static_cast<double>(tile.y),
                                                      static_cast<double>(one.scale.width),
                                                      static_cast<double>(one.scale.height),
                                                      annotation_share_));
    }
  }
  std::vector<std::string> names = table.column_names();
  const auto add = [&](const char* name, std::vector<std::string>& column) {
    DETENTE_CHECK(!table.has_column(name),
                  ErrorCode::kData,
                  "[data::SlideSource] '{}' has a column '{}', as the tiles of its slides have; "
                  "expected another name for it.",
                  table.source(),
                  name);
    names.emplace_back(name);
    cells.push_back(std::move(column));
  };
  add("x", added.x);
  add("y", added.y);
  add("level", added.level);
  add("mpp", added.mpp);
  add("tissue", added.tissue);
  if (drawn) add(kAnnotation, added.annotation);
  table_ = Table::made(std::move(names), cells, table.source());
}

void SlideSource::place_tiles(const Listed& listed) {
  const Table& table = listed.table;
  struct Known {
    std::optional<TileScale> scale;
    std::size_t slide = 0;
  };
  std::map<std::string, Known> known;
  RowList kept;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string& file = listed.files[row];
    auto found = known.find(file);
    if (found == known.end()) {
      slides::SlideInfo info;
      Known one{open_slide(file, info), 0};
      if (one.scale) one.slide = add_slide(file, info);
      found = known.emplace(file, one).first;
    }
    if (!found->second.scale) continue;
    if (table.has_column("mpp")) {
      const auto mpp = parse_cell(table.cell(row, table.column_index("mpp")));
      DETENTE_CHECK(mpp && std::abs(*mpp / options_.mpp - 1) < 1e-3,
                    ErrorCode::kData,
                    "[data::SlideSource] line {} of '{}': the tile was planned at {} microns per "
                    "pixel; expected {}, as data.mpp says.",
                    table.line(row),
                    table.source(row),
                    table.cell(row, table.column_index("mpp")),
                    number_text(options_.mpp));
    }
    tiles_.push_back({static_cast<std::uint32_t>(found->second.slide),
                      tile_region(*found->second.scale,
                                  whole_cell(table, row, "x"),
                                  whole_cell(table, row, "y"),
                                  options_.size)});
    kept.push_back(row);
  }
  table_ = kept.size() == table.rows() ? table : table.select(kept);
}

}  // namespace detente::data
