// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/data/slide_annotations.h>
#include <detente/data/slide_source.h>
#include <detente/report/table.h>
#include <detente/slides/slide_workers.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kFormat = "detente-slides-1";
constexpr const char* kPlanFile = "slide_tiles.csv";
constexpr const char* kAnnotation = "annotation";
constexpr const char* kQuickHash = "openslide.quickhash-1";
// Overviews that are read before they are looked at.
constexpr std::size_t kAhead = 8;

const FileKind kSlideFiles{"slide", ".svs, .tif, .tiff, .ndpi, .mrxs, .scn, ...", has_slide_name};

std::filesystem::path slides_file(const std::filesystem::path& run) { return run / "slides.json"; }

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

std::shared_ptr<slides::SlideReader> start_workers(const SlideReading& reading) {
  slides::SlideWorkersOptions options;
  options.workers = static_cast<int>(reading.workers);
  options.memory_mib = static_cast<int>(reading.worker_memory);
  options.seconds = static_cast<double>(reading.timeout_s);
  return std::make_shared<slides::SlideWorkers>(options);
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

SlideSource::SlideSource(MakeSlideReader make)
    : make_(make ? std::move(make) : MakeSlideReader(start_workers)) {}
SlideSource::~SlideSource() = default;

void SlideSource::describe(FieldVisitor& data) {
  data.text("slide", column_, "Tables: the column of slide files, relative to the table's folder.");
  options_.describe(data);
  data.text(
      "annotations",
      annotations_,
      "Tables of slides: the column of files with drawn regions (GeoJSON, or the XML of Aperio "
      "or ASAP); the class over a tile is its column 'annotation'. Empty: none.");
  data.number("annotation_share",
              annotation_share_,
              {.min = 0, .max = 1, .min_open = true},
              "A tile with no class over so much of it has none.");
  data.integer(
      "window",
      window_,
      {.min = 1, .max = 1e6},
      "Tiles of so many slides, which follow each other at random, are mixed into batches.");
  data.integer(
      "memory", memory_, {.min = 1, .max = 1e6}, "MiB for tiles that are read ahead and kept.");
  data.integer("workers", reading_.workers, {.min = 1, .max = 64}, "Processes that read slides.");
  data.integer("worker_memory",
               reading_.worker_memory,
               {.min = 256, .max = 1e6},
               "MiB that each of them may take.");
  data.integer("timeout_s",
               reading_.timeout_s,
               {.min = 1, .max = 86400},
               "Seconds for one tile; a slide that takes longer is given up.");
  data.section("augment", "Random changes of training tiles.", [this](FieldVisitor& section) {
    augmentation_.describe(section);
  });
}

std::vector<std::string> SlideSource::named_inputs() const {
  std::vector<std::string> names{column_};
  if (!annotations_.empty()) names.push_back(annotations_);
  return names;
}

std::unique_ptr<Source> SlideSource::fresh() const {
  auto source = std::make_unique<SlideSource>(make_);
  source->column_ = column_;
  source->annotations_ = annotations_;
  source->annotation_share_ = annotation_share_;
  source->window_ = window_;
  source->memory_ = memory_;
  source->reading_ = reading_;
  source->options_ = options_;
  source->augmentation_ = augmentation_;
  source->reader_ = reader_;
  return source;
}

void SlideSource::check_options() const {
  options_.check();
  DETENTE_CHECK(!column_.empty(),
                ErrorCode::kInvalidArgument,
                "[data::SlideSource] 'data.slide' is empty; name the column of slide files.");
}

slides::SlideReader& SlideSource::reader() {
  if (reader_ == nullptr) reader_ = make_(reading_);
  return *reader_;
}

void SlideSource::leave_out(const std::string& file, const std::string& reason) {
  ++left_out_;
  warnings_.push_back(fmt::format("A slide is left out: {} ({})", file, reason));
}

std::optional<TileScale> SlideSource::open_slide(const std::string& file, slides::SlideInfo& info) {
  try {
    info = reader().info(file);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData) throw;
    leave_out(file, error.what());
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
      leave_out(file, error.what());
      continue;
    }
    const auto [scale_x, scale_y] = overview_scale(one.info, one.region);
    const TissueMask mask(overview, scale_x, scale_y);
    const TilePlan plan =
        plan_tiles(one.info, one.scale, mask, options_, file, table.place(one.row));
    without_tissue_ += plan.without_tissue;
    if (plan.tiles.empty()) {
      leave_out(file, "none of its tiles has enough tissue, data.tissue");
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

void SlideSource::read_rows(const SourceInput& input, const Source* fitted) {
  check_options();
  const auto* model = dynamic_cast<const SlideSource*>(fitted);
  fit_ = model == nullptr ? ImageFit{} : model->fit_;
  if (model != nullptr && reader_ == nullptr) reader_ = model->reader_;
  store_.reset();
  files_.clear();
  identities_.clear();
  infos_.clear();
  tiles_.clear();
  groups_.clear();
  left_out_ = without_tissue_ = 0;
  const Listed listed = list(input);
  source_ = listed.table.source();
  if (listed.of_tiles) {
    place_tiles(listed);
  } else {
    plan_slides(listed, fitted == nullptr);
  }
  const auto limit = static_cast<std::size_t>(input.files.max_rows);
  if (!listed.of_tiles && input.part == Part::kTrain && limit > 0 && limit < tiles_.size()) {
    // Some of every slide, as far as they go.
    RowList kept;
    for (std::size_t i = 0; i < limit; ++i) kept.push_back(i * tiles_.size() / limit);
    std::vector<PlacedTile> fewer;
    for (const std::size_t row : kept) fewer.push_back(tiles_[row]);
    tiles_ = std::move(fewer);
    table_ = table_->select(kept);
  }
  DETENTE_CHECK(
      !tiles_.empty(),
      ErrorCode::kData,
      "[data::SlideSource] '{}' has no tile that can be read; of its {} slides {} were left "
      "out.{}",
      source_,
      listed.files.size(),
      left_out_,
      warnings_.empty() ? "" : " The first: " + warnings_.front());
  for (const PlacedTile& tile : tiles_) groups_.push_back(tile.slide);
  costs_.assign(tiles_.size(), 1);
  take_places(*table_);
  const auto side = static_cast<std::size_t>(options_.size);
  fit_.shape = {side, side, 3};
  store_ = std::make_unique<TileStore>(
      reader_, files_, tiles_, static_cast<std::size_t>(memory_) << 20U);
  if (fitted == nullptr) {
    RowList some;
    const std::size_t count = std::min(kScaleTiles, size());
    for (std::size_t i = 0; i < count; ++i) some.push_back(i * size() / count);
    expect(some);
    fit_scale(some, source_);
  }
  for (TargetColumn target : input.targets) {
    name_classes(target, fit_.classes);
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
}

void SlideSource::expect(std::span<const std::size_t> rows) const { store_->expect(rows); }
std::vector<std::string> SlideSource::news() const {
  return store_ == nullptr ? std::vector<std::string>() : store_->news();
}

void SlideSource::settle() {
  if (store_ == nullptr) return;
  for (Target& target : targets_) {
    target.missing = 0;
    for (std::size_t row = 0; row < tiles_.size(); ++row) {
      const auto begin = target.values.begin() + static_cast<std::ptrdiff_t>(row * target.columns);
      const auto end = begin + static_cast<std::ptrdiff_t>(target.columns);
      if (store_->is_bad(tiles_[row].slide)) {
        std::fill(begin, end, std::numeric_limits<double>::quiet_NaN());
      }
      if (std::all_of(begin, end, [](double value) { return std::isnan(value); })) ++target.missing;
    }
  }
}

std::optional<SlideSource::Overview> SlideSource::overview(std::size_t slide,
                                                           std::int64_t side) const {
  const slides::SlideInfo& info = infos_[slide];
  const slides::Level& whole = info.levels.front();
  Overview found;
  try {
    found.picture = reader_->read(files_[slide], small_region(info, side));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData) throw;
    return std::nullopt;
  }
  found.scale_x = static_cast<double>(whole.width) / static_cast<double>(found.picture.width);
  found.scale_y = static_cast<double>(whole.height) / static_cast<double>(found.picture.height);
  const auto place = [](double at, double scale, std::int64_t most) {
    return static_cast<std::size_t>(std::clamp<std::int64_t>(std::llround(at / scale), 0, most));
  };
  for (std::size_t row = 0; row < tiles_.size(); ++row) {
    if (tiles_[row].slide != slide) continue;
    const slides::Region& tile = tiles_[row].region;
    const double down = info.levels[static_cast<std::size_t>(tile.level)].downsample;
    const auto x = static_cast<double>(tile.x);
    const auto y = static_cast<double>(tile.y);
    const double right = x + down * static_cast<double>(tile.width);
    const double bottom = y + down * static_cast<double>(tile.height);
    found.tiles.push_back({row,
                           place(x, found.scale_x, found.picture.width),
                           place(y, found.scale_y, found.picture.height),
                           place(right, found.scale_x, found.picture.width),
                           place(bottom, found.scale_y, found.picture.height)});
  }
  return found;
}

Locality SlideSource::locality() const { return {groups_, static_cast<std::size_t>(window_)}; }

void SlideSource::write_example(std::size_t row, std::uint8_t* out) const {
  if (store_->read(row, out)) return;
  const std::uint32_t colour = infos_[tiles_[row].slide].background;
  for (std::size_t i = 0; i < fit_.shape.pixels(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      out[3 * i + c] = static_cast<std::uint8_t>((colour >> (16 - 8 * c)) & 0xffU);
    }
  }
}

Batch SlideSource::target_batch(std::span<const std::size_t> rows, const Rng* augment) const {
  Batch batch = Source::target_batch(rows, augment);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!store_->is_bad(tiles_[rows[i]].slide)) continue;
    for (Array& array : batch) {
      auto& values = std::get<std::vector<double>>(array.values);
      const std::size_t columns = values.size() / rows.size();
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(i * columns),
                  columns,
                  std::numeric_limits<double>::quiet_NaN());
    }
  }
  return batch;
}

std::string SlideSource::digest() const {
  std::uint32_t crc = crc32c(fmt::format("{} {}", options_.size, number_text(options_.mpp)));
  for (const std::string& identity : identities_) crc = crc32c(identity, crc);
  for (const PlacedTile& tile : tiles_) {
    const slides::Region& region = tile.region;
    crc = crc32c(fmt::format("{} {} {} {} {} {}\n",
                             tile.slide,
                             region.x,
                             region.y,
                             region.level,
                             region.width,
                             region.height),
                 crc);
  }
  for (const Target& target : targets_) {
    crc = crc32c(target.task, crc);
    crc = crc32c({reinterpret_cast<const char*>(target.values.data()),
                  target.values.size() * sizeof(double)},
                 crc);
  }
  return "crc32c:" + crc32c_text(crc);
}

void SlideSource::save(const std::filesystem::path& run) const {
  fit_.save(slides_file(run), kFormat);
  if (!table_) return;
  std::string text;
  const auto line = [&](const auto& cell_of) {
    for (std::size_t c = 0; c < table_->columns(); ++c) {
      text += (c > 0 ? "," : "") + report::csv_cell(std::string(cell_of(c)));
    }
    text += "\n";
  };
  line([&](std::size_t c) { return table_->column_names()[c]; });
  for (std::size_t row = 0; row < table_->rows(); ++row) {
    line([&](std::size_t c) { return table_->cell(row, c); });
  }
  write_own_file(run / kPlanFile, text);
}

void SlideSource::load(const std::filesystem::path& run) {
  fit_ = ImageFit::load(slides_file(run), kFormat, "data::SlideSource");
}

std::vector<std::string> SlideSource::notes() const {
  std::vector<std::string> notes;
  notes.push_back(fmt::format(
      "{} tiles of {} slides at {} microns per pixel{}{}.",
      tiles_.size(),
      files_.size(),
      number_text(options_.mpp),
      without_tissue_ > 0 ? fmt::format("; {} places without tissue are left out", without_tissue_)
                          : "",
      left_out_ > 0 ? fmt::format("; {} slides are left out", left_out_) : ""));
  return notes;
}

slides::ReaderStatistics SlideSource::statistics() const {
  return reader_ == nullptr ? slides::ReaderStatistics{} : reader_->statistics();
}

}  // namespace detente::data
