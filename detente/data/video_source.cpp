// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/parallel_rows.h>
#include <detente/data/video_file.h>
#include <detente/data/video_source.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <optional>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kVideoFormat = "detente-video-1";
constexpr const char* kDirection = "direction";
constexpr double kMostClipFrames = 1e5;

std::filesystem::path video_json(const std::filesystem::path& run) { return run / "video.json"; }

// The images' rows, each as often as it has clips, with the way it moves.
Table moving_table(const Table& table, const RowList& chosen, const MovingOptions& moving) {
  std::vector<std::string> names = table.column_names();
  std::vector<std::vector<std::string>> columns(names.size() + 1);
  names.emplace_back(kDirection);
  const auto clips = static_cast<std::size_t>(moving.clips);
  std::vector<std::size_t> places;
  for (const std::size_t row : chosen) {
    for (std::size_t clip = 0; clip < clips; ++clip) {
      places.push_back(table.place(row));
      for (std::size_t c = 0; c + 1 < names.size(); ++c) {
        columns[c].emplace_back(table.cell(row, c));
      }
      columns.back().push_back(std::to_string(motion_of(moving, row, clip).direction));
    }
  }
  return Table::made(std::move(names), columns, table.source()).with_places(std::move(places));
}

}  // namespace

FileRows list_clips(const ImageListing& listing) {
  std::optional<FileRows> rows =
      list_files(listing,
                 {.word = "video",
                  .endings = "folders of pictures, .npy, .mp4, .m4v, .webm, .mkv, .mov or .avi",
                  .fits = has_clip_name});
  DETENTE_CHECK(rows.has_value(),
                ErrorCode::kData,
                "[data::VideoSource] '{}' is neither a list of clips (.csv or .tsv) nor a folder{}",
                listing.path,
                has_clip_name(listing.path)
                    ? "; a single clip is no data set: name its folder, or a list."
                    : " that is there; clips made of the images of a file need data.moving.side.");
  return std::move(*rows);
}

void VideoSource::describe(FieldVisitor& data) {
  data.text("video",
            column_,
            "Clips: the column of a list with their files or folders, relative to the list's "
            "folder.");
  data.file("class_file", class_file_, "Folders of clips: the classes by id, as for images.");
  data.integer("frames",
               frames_,
               {.min = 1, .max = kMostClipFrames},
               "Frames of every example: those in the middle of longer clips, and the last held of "
               "shorter ones.");
  data.integer("stride",
               stride_,
               {.min = 1, .max = kMostClipFrames},
               "Of a clip's pictures the first and every stride-th after it are its frames.");
  data.number("fps",
              fps_,
              {.min = 0, .max = 1000},
              "Video files: so many frames a second in place of stride; 0: stride.");
  data.numbers("size",
               size_,
               {.min = 1, .max = kLongestSide},
               "[height, width] of what the network sees; default: those of the first training "
               "clip.");
  data.choice("resize",
              resize_,
              {{"none", Resize::kNone}, {"stretch", Resize::kStretch}, {"crop", Resize::kCrop}},
              "What happens to pictures of another size: none: they are an error; stretch: scaled, "
              "whatever becomes of their proportions; crop: scaled until they cover the size, then "
              "cut about the centre.");
  data.choice_text("channels",
                   channels_,
                   {"auto", "1", "3"},
                   "1: grey; 3: red, green, blue; auto: 3 where any training clip has colours.");
  data.integer("memory",
               memory_,
               {.min = 1, .max = 1e9},
               "MiB that the clips of a part may take, a byte a number; more is an error.");
  data.section("moving",
               "Clips made of images: each moves over a field in one of eight directions, which "
               "the column `direction` tells.",
               [this](FieldVisitor& section) { moving_.describe(section); });
  data.section("augment", "Random changes of training clips.", [this](FieldVisitor& section) {
    section.flag("temporal",
                 temporal_,
                 "Of longer clips take any frames that follow each other, not those in the middle; "
                 "all are kept in memory.");
    augmentation_.describe(section);
  });
}

void VideoSource::resolve_paths(const std::filesystem::path& folder) {
  if (!class_file_.empty()) class_file_ = absolute_path(class_file_, folder);
}

std::unique_ptr<Source> VideoSource::fresh() const {
  auto source = std::make_unique<VideoSource>();
  source->column_ = column_;
  source->class_file_ = class_file_;
  source->frames_ = frames_;
  source->stride_ = stride_;
  source->fps_ = fps_;
  source->size_ = size_;
  source->resize_ = resize_;
  source->channels_ = channels_;
  source->memory_ = memory_;
  source->moving_ = moving_;
  source->temporal_ = temporal_;
  source->augmentation_ = augmentation_;
  return source;
}

void VideoSource::check_options() const {
  const bool whole =
      std::all_of(size_.begin(), size_.end(), [](double side) { return side == std::floor(side); });
  DETENTE_CHECK((size_.empty() || size_.size() == 2) && whole,
                ErrorCode::kInvalidArgument,
                "[data::VideoSource] 'data.size' must be two whole numbers, [height, width].");
  DETENTE_CHECK(!column_.empty(),
                ErrorCode::kInvalidArgument,
                "[data::VideoSource] 'data.video' is empty; name the column of clips.");
  DETENTE_CHECK(!moving_.on() || (stride_ == 1 && fps_ == 0 && size_.empty() && !temporal_),
                ErrorCode::kInvalidArgument,
                "[data::VideoSource] with 'data.moving' clips are made as long and large as they "
                "are wanted; leave data.stride, data.fps, data.size and data.augment.temporal out "
                "(data.moving.speed and data.moving.side are what they were for).");
}

void VideoSource::read_rows(const SourceInput& input, const Source* fitted) {
  check_options();
  const bool training = fitted == nullptr;
  fit_ = training ? ImageFit{} : dynamic_cast<const VideoSource&>(*fitted).fit_;
  if (training && !class_file_.empty()) fit_.classes = read_class_file(class_file_);
  const bool labels = !input.files.picked && (training || !input.targets.empty());
  const std::string path = input.files.file(input.part);
  if (moving_.on()) {
    const ImageRows rows = list_images({path, input.files.format, column_, fit_.classes, labels});
    warnings_ = rows.warnings;
    fit_.classes = rows.classes;
    const RowList chosen = input.files.chosen_rows(input.part, rows.table);
    table_ = moving_table(rows.table, chosen, moving_);
    if (training) start_shape();
    make_clips(rows, chosen);
  } else {
    const FileRows rows = list_clips(
        {path, input.files.format, column_, fit_.classes, labels, input.files.given.get()});
    warnings_ = rows.warnings;
    fit_.classes = rows.classes;
    const RowList chosen = input.files.chosen_rows(input.part, rows.table);
    table_ = rows.table.select(chosen);
    if (training) start_shape();
    read_clips(rows, chosen, input.threads, training);
  }
  take_places(*table_);
  costs_.assign(table_->rows(), 1);
  if (training) fit_scale();
  for (TargetColumn target : input.targets) {
    name_classes(target, fit_.classes);
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
}

// What the options say of it; zeros are left to the first clip.
void VideoSource::start_shape() {
  fit_.shape = {};
  if (!size_.empty()) {
    fit_.shape.height = static_cast<std::size_t>(size_[0]);
    fit_.shape.width = static_cast<std::size_t>(size_[1]);
  }
  if (channels_ != "auto") fit_.shape.channels = channels_ == "1" ? 1 : 3;
}

Image VideoSource::in_size(Image image, const std::string& name) const {
  const std::size_t height = fit_.shape.height;
  const std::size_t width = fit_.shape.width;
  if (image.shape.height == height && image.shape.width == width) return image;
  DETENTE_CHECK(resize_ != Resize::kNone,
                ErrorCode::kData,
                "[data::VideoSource] '{}' has pictures of {} x {} pixels; expected {} x {}. To "
                "bring all to one size, set data.resize to stretch or crop (and data.size).",
                name,
                image.shape.height,
                image.shape.width,
                height,
                width);
  return resize_ == Resize::kStretch ? resize(image, height, width)
                                     : resize_and_crop(image, height, width);
}

void VideoSource::read_clips(const FileRows& rows,
                             const RowList& chosen,
                             int threads,
                             bool training) {
  const bool settled = fit_.shape.channels != 0;  // else it takes all clips to know
  const std::size_t most = static_cast<std::size_t>(memory_) << 20U;
  std::atomic<std::size_t> bytes = 0;
  std::vector<std::vector<Image>> clips(chosen.size());
  const auto read = [&](std::size_t i) {
    const std::filesystem::path& file = rows.files[chosen[i]];
    ClipWish wish;
    wish.stride = static_cast<std::size_t>(stride_);
    wish.fps = fps_;
    wish.middle = training && temporal_ ? 0 : frames();
    wish.most = most;
    wish.form = [&](Image image) {
      if (fit_.shape.height == 0) {  // of the first clip alone, which is read before the others
        fit_.shape.height = image.shape.height;
        fit_.shape.width = image.shape.width;
      }
      image = in_size(std::move(image), file.string());
      return settled ? with_channels(image, fit_.shape.channels) : image;
    };
    try {
      clips[i] = read_clip(file, wish);
    } catch (const Error& error) {
      if (!rows.is_list) throw;
      fail(error.code(),
           "{} It is named in line {} of '{}'.",
           error.what(),
           rows.table.line(chosen[i]),
           rows.table.source());
    }
    for (const Image& image : clips[i]) bytes += image.values.size();
    DETENTE_CHECK(bytes <= most,
                  ErrorCode::kData,
                  "[data::VideoSource] the clips of '{}' take more than {} MiB, which is what "
                  "data.memory allows. Choose fewer data.frames, a smaller data.size or "
                  "data.max_rows, or allow more.",
                  rows.table.source(),
                  memory_);
  };
  read(0);
  for_each_row(chosen.size() - 1, threads, [&](std::size_t i) { read(i + 1); });
  if (!settled) {
    const bool colours = std::any_of(clips.begin(), clips.end(), [](const auto& frames) {
      return std::any_of(frames.begin(), frames.end(), [](const Image& image) {
        return image.shape.channels == 3;
      });
    });
    fit_.shape.channels = colours ? 3 : 1;
  }
  clips_.assign(chosen.size(), {});
  for (std::size_t i = 0; i < clips.size(); ++i) keep_clip(i, std::exchange(clips[i], {}));
}

void VideoSource::make_clips(const ImageRows& rows, const RowList& chosen) {
  const auto image_of = [&](std::size_t row) {
    if (!rows.files.empty()) return read_image(rows.files[row]);
    const std::uint8_t* begin = rows.block.values.data() + row * rows.block.shape.size();
    return Image{rows.block.shape, {begin, begin + rows.block.shape.size()}};
  };
  const auto side = static_cast<std::size_t>(moving_.side);
  fit_.shape.height = fit_.shape.width = side;
  if (fit_.shape.channels == 0) fit_.shape.channels = image_of(chosen.front()).shape.channels;
  const auto clips = static_cast<std::size_t>(moving_.clips);
  const double mib = std::ldexp(static_cast<double>(chosen.size() * clips) *
                                    static_cast<double>(frames() * fit_.shape.size()),
                                -20);
  DETENTE_CHECK(mib <= static_cast<double>(memory_),
                ErrorCode::kData,
                "[data::VideoSource] {} clips of {} frames of {} x {} pixels take {:.0f} MiB; "
                "data.memory allows {}. Choose fewer data.frames, a smaller data.moving.side or "
                "data.max_rows, or allow more.",
                chosen.size() * clips,
                frames(),
                side,
                side,
                std::ceil(mib),
                memory_);
  clips_.assign(chosen.size() * clips, {});
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const Image image = with_channels(image_of(chosen[i]), fit_.shape.channels);
    DETENTE_CHECK(image.shape.height <= side && image.shape.width <= side,
                  ErrorCode::kInvalidArgument,
                  "[data::VideoSource] 'data.moving.side' is {}, but an image of '{}' has {} x {} "
                  "pixels; expected a side that holds each.",
                  side,
                  rows.table.source(),
                  image.shape.height,
                  image.shape.width);
    for (std::size_t clip = 0; clip < clips; ++clip) {
      const Motion motion = motion_of(moving_, chosen[i], clip);
      std::vector<Image> shown;
      for (std::size_t t = 0; t < frames(); ++t) {
        shown.push_back(moved(image, moving_, motion, t));
      }
      keep_clip(i * clips + clip, std::move(shown));
    }
  }
}

void VideoSource::keep_clip(std::size_t row, std::vector<Image> frames) {
  for (const Image& image : frames) {
    const Image final_form = with_channels(image, fit_.shape.channels);
    clips_[row].insert(clips_[row].end(), final_form.values.begin(), final_form.values.end());
  }
}

void VideoSource::fit_scale() {
  ImageFit::Counts counts(fit_.shape.channels);
  for (const auto& clip : clips_) ImageFit::count(clip, counts);
  fit_.scale(counts, [this](std::size_t channel, double value) {
    warnings_.push_back(fmt::format(
        "Channel {} (from 0) of every clip of '{}' is {} everywhere; there is nothing to see.",
        channel,
        table_->source(),
        number_text(value)));
  });
}

Batch VideoSource::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  const ImageShape& one = fit_.shape;
  const std::size_t length = frames();
  const std::size_t plane = one.pixels();
  const std::size_t size = one.size() * length;
  // To the changes a clip is an image whose channels are the frames of each channel.
  const ImageShape planes{one.height, one.width, one.channels * length};
  std::vector<double> means;
  for (const double mean : fit_.means) means.insert(means.end(), length, mean);
  std::vector<float> values(rows.size() * size);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<std::uint8_t>& clip = clips_[rows[i]];
    const std::size_t count = clip.size() / one.size();
    std::size_t begin = count > length ? (count - length) / 2 : 0;
    std::optional<Rng> own;
    if (augment != nullptr) own = augment->fork(rows[i]);
    if (own && temporal_ && count > length) begin = own->below(count - length + 1);
    const std::span<float> to(values.data() + i * size, size);
    for (std::size_t t = 0; t < length; ++t) {
      const std::uint8_t* from = clip.data() + std::min(begin + t, count - 1) * one.size();
      for (std::size_t c = 0; c < one.channels; ++c) {
        for (std::size_t p = 0; p < plane; ++p) {
          to[(c * length + t) * plane + p] = static_cast<float>(from[p * one.channels + c]);
        }
      }
    }
    if (own && augmentation_.any()) augmentation_.apply(to, planes, means, *own);
    for (std::size_t j = 0; j < size; ++j) {
      const std::size_t c = j / (plane * length);
      to[j] = static_cast<float>((static_cast<double>(to[j]) - fit_.means[c]) / fit_.deviations[c]);
    }
    if (own) augmentation_.add_noise(to, *own);
  }
  Batch batch;
  batch.push_back(
      {"clip", {rows.size(), one.channels, length, one.height, one.width}, std::move(values)});
  return batch;
}

void VideoSource::save(const std::filesystem::path& run) const {
  fit_.save(video_json(run), kVideoFormat);
}

void VideoSource::load(const std::filesystem::path& run) {
  fit_ = ImageFit::load(video_json(run), kVideoFormat, "data::VideoSource");
}

std::vector<ShownColumn> VideoSource::shown() const { return shown_columns(table_); }

Image VideoSource::picture(std::size_t row) const {
  const std::vector<std::uint8_t>& clip = clips_.at(row);
  const std::size_t size = fit_.shape.size();
  const auto begin = clip.begin() + static_cast<std::ptrdiff_t>(clip.size() / size / 2 * size);
  return {fit_.shape, {begin, begin + static_cast<std::ptrdiff_t>(size)}};
}

}  // namespace detente::data
