#include "gateway/uplink/reformat.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "gateway/uplink/facts.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/messages/parse.h"
#include "protocol/mqtt/properties.h"

namespace berth::gateway::uplink {

void reformat(Format format, Upward& m) {
  if (format == Format::tenant) return;
  const Body body = body_of(content_type_of(m.properties));
  if (body == Body::other) return;
  std::string out;
  if (format == Format::json && body == Body::protobuf) {
    v1::Envelope e;
    if (!protocol::messages::parse(e, m.payload) ||
        !google::protobuf::util::MessageToJsonString(e, &out).ok())
      return;
  } else if (format == Format::protobuf && body == Body::json) {
    v1::Envelope e;
    if (!google::protobuf::util::JsonStringToMessage(m.payload, &e).ok() ||
        !e.SerializeToString(&out))
      return;
  } else {
    return;
  }
  m.payload = std::move(out);
  m.properties.clear();
  protocol::mqtt::put_property_string(m.properties, protocol::mqtt::Property::content_type,
                                      format == Format::json
                                          ? "application/json;msg=berth.v1.Envelope"
                                          : "application/x-protobuf;msg=berth.v1.Envelope");
}

}  // namespace berth::gateway::uplink
