// SPDX-License-Identifier: Apache-2.0
// A small video, written by FFmpeg's libraries; where the build has them.
#pragma once

#include <detente/data/image.h>

#include <string>
#include <vector>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

namespace detente::test {

// Grey pictures of even sides, so many a second, as MPEG-4 of high quality. The ending says which
// container. False where FFmpeg has no encoder.
inline bool write_video(const std::string& path, const std::vector<data::Image>& frames, int fps) {
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_MPEG4);
  if (codec == nullptr) return false;
  const int height = static_cast<int>(frames.front().shape.height);
  const int width = static_cast<int>(frames.front().shape.width);
  AVFormatContext* file = nullptr;
  if (avformat_alloc_output_context2(&file, nullptr, nullptr, path.c_str()) < 0) return false;
  AVStream* stream = avformat_new_stream(file, nullptr);
  AVCodecContext* encoder = avcodec_alloc_context3(codec);
  encoder->width = width;
  encoder->height = height;
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->time_base = {1, fps};
  encoder->framerate = {fps, 1};
  encoder->gop_size = 1;
  encoder->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_GLOBAL_HEADER;
  encoder->global_quality = FF_QP2LAMBDA;
  bool good = avcodec_open2(encoder, codec, nullptr) >= 0 &&
              avcodec_parameters_from_context(stream->codecpar, encoder) >= 0 &&
              avio_open(&file->pb, path.c_str(), AVIO_FLAG_WRITE) >= 0;
  stream->time_base = encoder->time_base;
  good = good && avformat_write_header(file, nullptr) >= 0;
  AVFrame* frame = av_frame_alloc();
  AVPacket* packet = av_packet_alloc();
  frame->format = encoder->pix_fmt;
  frame->width = width;
  frame->height = height;
  frame->quality = encoder->global_quality;
  good = good && av_frame_get_buffer(frame, 0) >= 0;
  for (std::size_t t = 0; good && t <= frames.size(); ++t) {
    if (t < frames.size()) {
      av_frame_make_writable(frame);
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          // Of 16 to 235, as videos have it.
          const int value = frames[t].values[static_cast<std::size_t>(y * width + x)];
          frame->data[0][y * frame->linesize[0] + x] =
              static_cast<std::uint8_t>(16 + (219 * value + 127) / 255);
          frame->data[1][y / 2 * frame->linesize[1] + x / 2] = 128;
          frame->data[2][y / 2 * frame->linesize[2] + x / 2] = 128;
        }
      }
      frame->pts = static_cast<std::int64_t>(t);
    }
    good = avcodec_send_frame(encoder, t < frames.size() ? frame : nullptr) >= 0;
    while (good && avcodec_receive_packet(encoder, packet) >= 0) {
      packet->duration = 1;  // or mp4 takes the last picture to last no time
      av_packet_rescale_ts(packet, encoder->time_base, stream->time_base);
      packet->stream_index = stream->index;
      good = av_interleaved_write_frame(file, packet) >= 0;
    }
  }
  good = good && av_write_trailer(file) >= 0;
  av_packet_free(&packet);
  av_frame_free(&frame);
  avcodec_free_context(&encoder);
  avio_closep(&file->pb);
  avformat_free_context(file);
  return good;
}

}  // namespace detente::test
