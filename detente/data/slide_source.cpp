// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/data/slide_source.h>
#include <detente/report/table.h>
#include <detente/slides/slide_workers.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kSlidesFormat = "detente-slides-1";
constexpr const char* kPlanFile = "slide_tiles.csv";

// `count` of `all` rows, or all, at equal distances from the first on.
RowList spread_rows(std::size_t count, std::size_t all) {
  count = std::min(count, all);
  RowList rows;
  for (std::size_t i = 0; i < count; ++i) rows.push_back(i * all / count);
  return rows;
}

std::filesystem::path slides_file(const std::filesystem::path& run) { return run / "slides.json"; }

std::shared_ptr<slides::SlideReader> start_workers(const SlideReading& reading) {
  slides::SlideWorkersOptions options;
  options.workers = static_cast<int>(reading.workers);
  options.memory_mib = static_cast<int>(reading.worker_memory);
  options.seconds = static_cast<double>(reading.timeout_s);
  return std::make_shared<slides::SlideWorkers>(options);
}

}  // namespace

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
    const RowList kept = spread_rows(limit, tiles_.size());
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
    const RowList some = spread_rows(kScaleTiles, size());
    expect(some);
    fit_scale(some, source_);
  }
  read_targets(*table_, input.targets);
}

void SlideSource::expect(std::span<const std::size_t> rows) const { store_->expect(rows); }
std::vector<std::string> SlideSource::news() const {
  return store_ == nullptr ? std::vector<std::string>() : store_->news();
}

void SlideSource::settle() {
  if (store_ == nullptr) return;
  for (Target& target : targets_) {
    make_missing(target, [this](std::size_t row) { return store_->is_bad(tiles_[row].slide); });
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
  fit_.save(slides_file(run), kSlidesFormat);
  if (table_) write_own_file(run / kPlanFile, plan_text());
}

std::string SlideSource::plan_text(const std::filesystem::path& beside) const {
  const std::vector<ShownColumn> columns = shown();
  std::vector<report::Column> titles;
  for (const ShownColumn& column : columns) titles.push_back({column.name});
  report::Table plan(std::move(titles));
  for (std::size_t row = 0; row < size(); ++row) {
    std::vector<std::string> cells;
    for (const ShownColumn& column : columns) {
      const bool moved = !beside.empty() && column.name == column_;
      cells.push_back(moved ? std::filesystem::absolute(files_[tiles_[row].slide])
                                  .lexically_proximate(beside)
                                  .string()
                            : column.cells[row]);
    }
    plan.add_row(std::move(cells));
  }
  return plan.csv();
}

void SlideSource::load(const std::filesystem::path& run) {
  fit_ = ImageFit::load(slides_file(run), kSlidesFormat, "data::SlideSource");
}

std::vector<std::string> SlideSource::notes() const {
  const auto counted = [](std::size_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  std::string note = fmt::format("{} of {} at {} microns per pixel",
                                 counted(tiles_.size(), "tile"),
                                 counted(files_.size(), "slide"),
                                 number_text(options_.mpp));
  if (without_tissue_ > 0) {
    note += "; left out without tissue: " + counted(without_tissue_, "place");
  }
  if (left_out_ > 0) note += "; left out as bad: " + counted(left_out_, "slide");
  return {note + "."};
}

slides::ReaderStatistics SlideSource::statistics() const {
  return reader_ == nullptr ? slides::ReaderStatistics{} : reader_->statistics();
}

}  // namespace detente::data
