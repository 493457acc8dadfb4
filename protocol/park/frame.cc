#include "protocol/park/frame.h"

#include <libdeflate.h>

namespace berth::protocol::park {

namespace {

std::uint32_t get_u32(const std::uint8_t* p) {
  return (std::uint32_t{p[0]} << 24) | (std::uint32_t{p[1]} << 16) | (std::uint32_t{p[2]} << 8) |
         p[3];
}

void put_u32(char* to, std::uint32_t v) {
  to[0] = static_cast<char>(v >> 24);
  to[1] = static_cast<char>(v >> 16);
  to[2] = static_cast<char>(v >> 8);
  to[3] = static_cast<char>(v);
}

}  // namespace

std::uint32_t crc_of(std::uint32_t so_far, std::string_view bytes) {
  return libdeflate_crc32(so_far, bytes.data(), bytes.size());
}

void put_crc(std::string& out, std::uint32_t crc) {
  char bytes[kCrcBytes];
  put_u32(bytes, crc);
  out.append(bytes, sizeof bytes);
}

FrameStatus next_frame(base::ByteView in, std::size_t frame_max, Frame& out) {
  if (!in.empty() && in[0] != kMagic0) return FrameStatus::malformed;
  if (in.size() > 1 && in[1] != kMagic1) return FrameStatus::malformed;
  if (in.size() < kHeaderBytes) return FrameStatus::need_more;
  out.type = static_cast<FrameType>(in[2]);
  out.flags = in[3];
  const std::uint32_t length = get_u32(&in[4]);
  const std::size_t tail = (out.flags & kCrc) != 0 ? kCrcBytes : 0;
  out.size = kHeaderBytes + length + tail;
  if (length > kPayloadMax || out.size > frame_max) return FrameStatus::too_large;
  if (in.size() < out.size) return FrameStatus::need_more;
  out.seq = get_u32(&in[8]);
  out.payload = base::as_text(in.subspan(kHeaderBytes, length));
  if (tail == 0) return FrameStatus::complete;
  const std::uint32_t crc = crc_of(0, base::as_text(in.first(kHeaderBytes + length)));
  return crc == get_u32(&in[kHeaderBytes + length]) ? FrameStatus::complete : FrameStatus::bad_crc;
}

void put_header(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t seq,
                std::size_t size) {
  char header[kHeaderBytes] = {static_cast<char>(kMagic0), static_cast<char>(kMagic1),
                               static_cast<char>(type), static_cast<char>(flags)};
  put_u32(header + 4, static_cast<std::uint32_t>(size));
  put_u32(header + 8, seq);
  out.append(header, sizeof header);
}

void put_frame(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t seq,
               std::string_view payload) {
  const std::size_t from = out.size();
  put_header(out, type, flags, seq, payload.size());
  out.append(payload);
  if ((flags & kCrc) != 0) put_crc(out, crc_of(0, std::string_view(out).substr(from)));
}

bool Walker::header_done(bool crc_wanted) {
  const bool crc = (header_[3] & kCrc) != 0;
  const std::uint32_t length = get_u32(header_ + 4);
  fault_ = header_[0] != kMagic0 || header_[1] != kMagic1 ? Fault::no_frame
           : length > kPayloadMax                         ? Fault::too_large
           : crc_wanted && !crc                           ? Fault::no_crc
                                                          : Fault::none;
  if (fault_ != Fault::none) return false;
  skip_ = length + (crc ? kCrcBytes : 0);
  return true;
}

std::uint32_t Walker::seq() const {
  return get_u32(header_ + 8);
}

std::uint32_t Walker::length() const {
  return get_u32(header_ + 4);
}

// saved := skip:varint header:u8[have]
std::string Walker::save() const {
  std::string out;
  base::put_varint(out, skip_);
  out.append(reinterpret_cast<const char*>(header_), have_);
  return out;
}

bool Walker::go_on_from(std::string_view saved) {
  base::RecordReader r(saved);
  skip_ = static_cast<std::uint32_t>(r.varint());
  have_ = static_cast<std::uint8_t>(r.rest().size());
  if (!r.ok() || r.rest().size() > kHeaderBytes) return false;
  for (std::size_t i = 0; i < have_; ++i) header_[i] = static_cast<std::uint8_t>(r.rest()[i]);
  return true;
}

}  // namespace berth::protocol::park
