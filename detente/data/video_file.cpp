// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/data/image_file.h>
#include <detente/data/video_file.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#ifdef DETENTE_HAS_FFMPEG
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}
#endif

namespace detente::data {

bool has_video_name(const std::filesystem::path& path) {
  const std::string ending = lower_ascii(path.extension().string());
  for (const char* one : {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi"}) {
    if (ending == one) return true;
  }
  return false;
}

#ifndef DETENTE_HAS_FFMPEG

bool can_read_video() { return false; }

void read_video(const std::filesystem::path& path,
                std::size_t /*stride*/,
                double /*fps*/,
                const std::function<void(Image)>& /*take*/) {
  std::error_code ignored;
  DETENTE_CHECK(std::filesystem::exists(path, ignored),
                ErrorCode::kIo,
                "[data::read_video] there is no file '{}'.",
                path.string());
  DETENTE_CHECK(has_video_name(path),
                ErrorCode::kData,
                "[data::read_video] '{}' is no clip; expected a folder of pictures, a .npy file or "
                "a video.",
                path.string());
  fail(
      ErrorCode::kUnsupported,
      "[data::read_video] '{}' is a video file, and this build has no FFmpeg to read it with. "
      "Install libavformat-dev, libavcodec-dev and libswscale-dev and build again, or turn it into "
      "a folder of pictures (ffmpeg -i IN FOLDER/%05d.png).",
      path.string());
}

#else

namespace {

// What the containers are called that are read; playlists, which name other files, are none.
constexpr const char* kContainers = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi";

struct Freeing {
  void operator()(AVFormatContext* it) const { avformat_close_input(&it); }
  void operator()(AVCodecContext* it) const { avcodec_free_context(&it); }
  void operator()(AVFrame* it) const { av_frame_free(&it); }
  void operator()(AVPacket* it) const { av_packet_free(&it); }
  void operator()(SwsContext* it) const { sws_freeContext(it); }
};
template <class T>
using Owned = std::unique_ptr<T, Freeing>;

class VideoReader {
 public:
  explicit VideoReader(std::string name) : name_(std::move(name)) {
    av_log_set_level(AV_LOG_QUIET);
    // Missing and unreadable files have the system's own words.
    const std::ifstream file(name_, std::ios::binary);
    DETENTE_CHECK(
        file.good(), ErrorCode::kIo, "[data::read_video] cannot open '{}' to read it.", name_);
    AVDictionary* options = nullptr;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "format_whitelist", kContainers, 0);
    AVFormatContext* input = nullptr;
    // "file:" for names with a colon.
    const int opened = avformat_open_input(&input, ("file:" + name_).c_str(), nullptr, &options);
    av_dict_free(&options);
    if (opened < 0) refuse("is no video that FFmpeg can read", opened);
    input_.reset(input);
    check(avformat_find_stream_info(input, nullptr), "is damaged");
    const AVCodec* codec = nullptr;
    stream_ = av_find_best_stream(input, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    check(stream_, "has no pictures that FFmpeg can decode");
    decoder_.reset(avcodec_alloc_context3(codec));
    check(avcodec_parameters_to_context(decoder_.get(), stream().codecpar), "is damaged");
    decoder_->thread_count = 1;  // clips are read side by side
    check(avcodec_open2(decoder_.get(), codec, nullptr), "cannot be decoded");
  }

  // `show`: a picture and the second at which it is shown, negative where the file does not say.
  void read(const std::function<void(const AVFrame&, double)>& show) {
    const Owned<AVPacket> packet(av_packet_alloc());
    const Owned<AVFrame> frame(av_frame_alloc());
    const auto drain = [&] {
      for (;;) {
        const int code = avcodec_receive_frame(decoder_.get(), frame.get());
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
        check(code, "is damaged");
        const std::int64_t at = frame->best_effort_timestamp;
        show(*frame,
             at == AV_NOPTS_VALUE ? -1.0
                                  : static_cast<double>(at) * av_q2d(stream().time_base) - begin());
        av_frame_unref(frame.get());
      }
    };
    for (;;) {
      const int code = av_read_frame(input_.get(), packet.get());
      if (code == AVERROR_EOF) break;
      check(code, "is damaged or cut short");
      const bool ours = packet->stream_index == stream_;
      const int sent = ours ? avcodec_send_packet(decoder_.get(), packet.get()) : 0;
      av_packet_unref(packet.get());
      check(sent, "is damaged");
      if (ours) drain();
    }
    check(avcodec_send_packet(decoder_.get(), nullptr), "is damaged");
    drain();
  }

  Image image_of(const AVFrame& frame) {
    const auto height = static_cast<std::size_t>(frame.height);
    const auto width = static_cast<std::size_t>(frame.width);
    DETENTE_CHECK(height > 0 && width > 0 && height <= kMostPixels / width,
                  ErrorCode::kData,
                  "[data::read_video] '{}' has pictures of {} x {} pixels; expected at most {}.",
                  name_,
                  height,
                  width,
                  kMostPixels);
    scaler_.reset(sws_getCachedContext(scaler_.release(),
                                       frame.width,
                                       frame.height,
                                       static_cast<AVPixelFormat>(frame.format),
                                       frame.width,
                                       frame.height,
                                       AV_PIX_FMT_RGB24,
                                       SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT,
                                       nullptr,
                                       nullptr,
                                       nullptr));
    if (scaler_ == nullptr)
      refuse("has colours that FFmpeg cannot turn into red, green and blue", 0);
    // A line that its loops may write past the end of.
    constexpr std::size_t kMargin = 64;
    Image image{{height, width, 3}, std::vector<std::uint8_t>(height * width * 3 + kMargin)};
    std::uint8_t* planes[4] = {image.values.data(), nullptr, nullptr, nullptr};
    const int strides[4] = {static_cast<int>(3 * width), 0, 0, 0};
    sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, planes, strides);
    image.values.resize(height * width * 3);
    return image;
  }

 private:
  const AVStream& stream() const { return *input_->streams[stream_]; }
  double begin() const {
    const std::int64_t at = stream().start_time;
    return at == AV_NOPTS_VALUE ? 0.0 : static_cast<double>(at) * av_q2d(stream().time_base);
  }
  void check(int code, const char* what) const {
    if (code < 0) refuse(what, code);
  }
  [[noreturn]] void refuse(const char* what, int code) const {
    char words[AV_ERROR_MAX_STRING_SIZE] = "";
    if (code < 0) av_strerror(code, words, sizeof(words));
    fail(ErrorCode::kData,
         "[data::read_video] '{}' {}{}{}{}; expected .mp4, .webm, .mkv, .mov or .avi.",
         name_,
         what,
         code < 0 ? " (" : "",
         words,
         code < 0 ? ")" : "");
  }

  std::string name_;
  Owned<AVFormatContext> input_;
  int stream_ = 0;
  Owned<AVCodecContext> decoder_;
  Owned<SwsContext> scaler_;
};

}  // namespace

bool can_read_video() { return true; }

void read_video(const std::filesystem::path& path,
                std::size_t stride,
                double fps,
                const std::function<void(Image)>& take) {
  VideoReader video(path.string());
  std::size_t place = 0;
  double asked = 0;  // pictures asked for so far, with fps
  video.read([&](const AVFrame& frame, double second) {
    const std::size_t own = place++;
    if (fps <= 0) {
      if (own % stride == 0) take(video.image_of(frame));
      return;
    }
    DETENTE_CHECK(second >= 0,
                  ErrorCode::kData,
                  "[data::read_video] '{}' does not say when its picture {} (from 0) is shown, "
                  "which data.fps needs; use data.stride.",
                  path.string(),
                  own);
    constexpr double kRounding = 1e-6;
    if (second + kRounding < asked / fps) return;
    const Image image = video.image_of(frame);
    for (; asked / fps <= second + kRounding; ++asked) take(image);
  });
  DETENTE_CHECK(place > 0,
                ErrorCode::kData,
                "[data::read_video] '{}' holds no picture; it is damaged or cut short.",
                path.string());
}

#endif

}  // namespace detente::data
