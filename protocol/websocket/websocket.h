// MQTT over WebSocket: the server's side of one stream, sans-I/O. The opening handshake (RFC 6455
// section 4.2) with the subprotocol "mqtt", then binary frames that carry the MQTT stream in any
// division (MQTT 3.1.1 and 5.0 section 6: a packet may span frames, a frame may hold several).
// PING is answered, Close is answered and ends the stream; text frames, unmasked frames, unknown
// opcodes and extensions end it with the status RFC 6455 7.4.1 names.
//
// Limits: a request of 8 KiB, control frames of 125 bytes (5.5); data frames of any length, they
// are passed on as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::protocol::websocket {

class WebSocket {
 public:
  static constexpr std::size_t kRequestMax = 8 * 1024;
  static constexpr std::size_t kHeaderMax = 10;  // of a frame of ours

  // `path`: the request target that is served, without a query; `origins`: of handshake.h. Both
  // outlive it.
  explicit WebSocket(std::string_view path, std::string_view origins = {})
      : path_(path), origins_(origins) {}

  // The next `n` bytes of the stream. The MQTT bytes among them are moved to the front of `bytes`;
  // how many. What has to be sent back is appended to `reply`.
  std::size_t receive(std::uint8_t* bytes, std::size_t n, std::string& reply);
  bool established() const { return state_ == State::frames; }
  // Nothing more will be taken: the peer has closed, or must be.
  bool ended() const { return state_ == State::ended; }
  bool failed() const { return failed_; }  // by the peer's fault

  // The header of a binary frame of `payload` bytes.
  static void put_header(std::string& out, std::size_t payload);
  static void put_close(std::string& out, std::uint16_t status);

  // Everything but the path, for another process to go on with. False: not of save().
  std::string save() const;
  bool go_on_from(std::string_view saved);

 private:
  enum class State : std::uint8_t { request, frames, ended };
  // Where in a frame the stream is.
  struct Frame {
    std::string header;         // of the next frame, as far as it has come
    std::uint64_t left = 0;     // of its payload
    std::uint8_t opcode = 0;    // of its payload, while some is left
    std::uint8_t mask[4] = {};  // and from where
    std::uint8_t mask_at = 0;
    bool in_message = false;  // a fragment has come that was not the last
  };
  std::size_t take_request(std::string_view bytes, std::string& reply);
  std::size_t take_frames(std::uint8_t* bytes, std::size_t from, std::size_t n, std::string& reply);
  bool begin_frame(std::string& reply);
  void end_control(std::string& reply);
  void fail(std::uint16_t status, std::string& reply);
  void refuse(int status, const char* reason, const char* more, std::string& reply);

  std::string_view path_;
  std::string_view origins_;
  State state_ = State::request;
  bool failed_ = false;
  std::string request_;
  Frame frame_;
  std::string control_;  // payload of a control frame
};

}  // namespace berth::protocol::websocket
