// A message as sessions see it. MessageView: views, valid during one call. Message: immutable,
// owned, in one allocation, shared by reference count among the sessions of one shard (not
// thread-safe).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace berth::session {

struct MessageView {
  std::string_view topic;
  std::string_view payload;
  std::string_view forwarded;  // MQTT 5 properties passed on unaltered, encoded
  base::Instant expires_at = base::kNever;
  std::uint8_t qos = 0;
  bool retain = false;
  std::uint64_t stamp = 0;  // of a retained message, see Retained; not kept in a Message
};

// A message that a client says, in the terms of no protocol; valid during one call.
struct Publication {
  MessageView message;
  std::uint32_t id = 0;  // by which it is acknowledged: a packet id, or a report's seq
};

class Message {
 public:
  static Message* make(const MessageView& v) {
    const std::size_t n = v.topic.size() + v.forwarded.size() + v.payload.size();
    void* p = std::malloc(sizeof(Message) + n);
    if (p == nullptr) throw std::bad_alloc();
    return new (p) Message(v);
  }
  void ref() { ++refs_; }
  void unref() {
    if (--refs_ == 0) std::free(this);
  }
  MessageView view() const {
    const char* p = bytes();
    return {.topic = {p, topic_},
            .payload = {p + topic_ + forwarded_, payload_},
            .forwarded = {p + topic_, forwarded_},
            .expires_at = expires_at_,
            .qos = qos_,
            .retain = retain_};
  }
  std::size_t size() const { return sizeof(Message) + topic_ + forwarded_ + payload_; }

 private:
  explicit Message(const MessageView& v)
      : expires_at_(v.expires_at),
        topic_(static_cast<std::uint32_t>(v.topic.size())),
        forwarded_(static_cast<std::uint32_t>(v.forwarded.size())),
        payload_(static_cast<std::uint32_t>(v.payload.size())),
        qos_(v.qos),
        retain_(v.retain) {
    char* p = reinterpret_cast<char*>(this + 1);
    const auto put = [&p](std::string_view s) {
      if (!s.empty()) std::memcpy(p, s.data(), s.size());
      p += s.size();
    };
    put(v.topic);
    put(v.forwarded);
    put(v.payload);
  }
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }

  base::Instant expires_at_;
  std::uint32_t refs_ = 1;
  std::uint32_t topic_;
  std::uint32_t forwarded_;
  std::uint32_t payload_;
  std::uint8_t qos_;
  bool retain_;
};

// Owns one reference.
class MessagePtr {
 public:
  MessagePtr() = default;
  explicit MessagePtr(const MessageView& v) : m_(Message::make(v)) {}
  MessagePtr(const MessagePtr& o) : m_(o.m_) {
    if (m_ != nullptr) m_->ref();
  }
  MessagePtr(MessagePtr&& o) noexcept : m_(std::exchange(o.m_, nullptr)) {}
  MessagePtr& operator=(MessagePtr o) noexcept {
    std::swap(m_, o.m_);
    return *this;
  }
  ~MessagePtr() {
    if (m_ != nullptr) m_->unref();
  }
  explicit operator bool() const { return m_ != nullptr; }
  const Message* operator->() const { return m_; }

 private:
  Message* m_ = nullptr;
};

}  // namespace berth::session
