// FlatBuffers in and out. A union member whose tag and value disagree is refused here: generated code does not look.
#include "runtime/sdk_server/messages.h"

#include <bit>
#include <cstring>

#include "module_socket_generated.h"

namespace evp::runtime::socket {
namespace {

namespace fb = evp::module_socket;
using flatbuffers::FlatBufferBuilder;

// More tables than telemetry of 128 KiB can need.
constexpr std::size_t max_tables = 20000;
constexpr std::size_t max_depth = 16;

std::string text(const flatbuffers::String* s) { return s ? s->str() : std::string(); }
std::string bytes(const flatbuffers::Vector<std::uint8_t>* v) {
  return v ? std::string(reinterpret_cast<const char*>(v->data()), v->size()) : std::string();
}
/// Copied as bytes: the verifier does not look where a module's message has put the numbers, and they may lie askew.
std::vector<std::uint64_t> numbers(const flatbuffers::Vector<std::uint64_t>* v) {
  static_assert(std::endian::native == std::endian::little, "FlatBuffers are little-endian");
  if (v == nullptr || v->size() == 0) return {};
  std::vector<std::uint64_t> out(v->size());
  std::memcpy(out.data(), v->Data(), out.size() * sizeof out[0]);
  return out;
}
auto refuse(const char* why) { return fail(errc::invalid_argument, why); }

/// Copies texts of one message: together at most as much as the longest message can hold, since its offsets may lead
/// to one place from many.
class text_list {
 public:
  std::string copy(const flatbuffers::String* s) {
    if (s == nullptr) return {};
    if (s->size() > left_) {
      overlap_ = true;
      return {};
    }
    left_ -= s->size();
    return s->str();
  }
  bool overlap() const noexcept { return overlap_; }

 private:
  std::size_t left_ = max_message_bytes;
  bool overlap_ = false;
};

result<request> read_blob(const fb::BlobInput& in) {
  text_list texts;
  if (!in.request()) return refuse("a blob operation without a request");
  blob_input out;
  out.type = in.type();
  out.op = in.op();
  out.filename = text(in.filename());
  out.back = {in.cb(), in.user()};
  out.priority = in.priority();
  out.spool = in.spool();
  out.acknowledges = in.acknowledges();
  out.form = blob_form(in.request_type());
  switch (in.request_type()) {
    case fb::BlobRequest_SignedUrlRequest: out.url = text(in.request_as_SignedUrlRequest()->url()); break;
    case fb::BlobRequest_HttpRequest: out.url = text(in.request_as_HttpRequest()->url()); break;
    case fb::BlobRequest_NamedRequest: {
      const auto* r = in.request_as_NamedRequest();
      out.remote_name = text(r->remote_name());
      if (r->storage_name()) out.storage_name = r->storage_name()->str();
      break;
    }
    case fb::BlobRequest_HttpExtRequest: {
      const auto* r = in.request_as_HttpExtRequest();
      out.url = text(r->url());
      if (r->headers())
        for (const auto* h : *r->headers()) out.headers.push_back(texts.copy(h));
      if (texts.overlap()) return refuse("headers that overlap each other");
      break;
    }
    default: return refuse("unknown kind of blob request");
  }
  return out;
}

result<request> read_telemetry(const fb::TelemetryInput& in) {
  text_list texts;
  send_telemetry out;
  out.back = {in.cb(), in.user()};
  if (in.entries())
    for (const auto* e : *in.entries()) {
      auto key = texts.copy(e->key());
      out.entries.emplace_back(std::move(key), texts.copy(e->value()));
    }
  if (texts.overlap()) return refuse("telemetry entries that overlap each other");
  return out;
}

template <class T>
std::string finish(FlatBufferBuilder& b, fb::ResponseBody type, flatbuffers::Offset<T> body) {
  b.Finish(fb::CreateResponse(b, type, body.Union()));
  return std::string(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize());
}

struct event_body {
  fb::EventBody type;
  flatbuffers::Offset<void> offset;
};

event_body build(FlatBufferBuilder& b, const done_event& e) {
  const auto [cb, user] = e.back;
  switch (e.what) {
    case done_event::kind::state:
      return {fb::EventBody_StateOutput, fb::CreateStateOutput(b, cb, e.reason, user).Union()};
    case done_event::kind::message:
      return {fb::EventBody_MessageSentOutput, fb::CreateMessageSentOutput(b, cb, e.reason, user).Union()};
    case done_event::kind::telemetry:
      return {fb::EventBody_TelemetryOutput, fb::CreateTelemetryOutput(b, cb, e.reason, user).Union()};
    case done_event::kind::rpc_response: break;
  }
  return {fb::EventBody_RpcResponseOutput, fb::CreateRpcResponseOutput(b, cb, e.reason, user).Union()};
}

event_body build(FlatBufferBuilder& b, const blob_event& e) {
  flatbuffers::Offset<void> r;
  switch (e.form) {
    case blob_form::signed_url: r = fb::CreateSignedUrlResult(b, e.result, e.error, e.http_status).Union(); break;
    case blob_form::named: r = fb::CreateNamedResult(b, e.result, e.error, e.http_status).Union(); break;
    case blob_form::http: r = fb::CreateHttpResult(b, e.result, e.error, e.http_status).Union(); break;
    case blob_form::http_ext: r = fb::CreateHttpExtResult(b, e.result, e.error, e.http_status).Union(); break;
  }
  const auto type = fb::BlobResult(e.form);
  return {fb::EventBody_BlobOutput,
          fb::CreateBlobOutput(b, type, r, e.back.cb, e.reason, e.back.user, e.operation).Union()};
}

flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> vector_of(FlatBufferBuilder& b, const std::string& s) {
  return b.CreateVector(reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
}

event_body build(FlatBufferBuilder& b, const configuration_event& e) {
  const auto topic = b.CreateString(e.topic);
  return {fb::EventBody_Config, fb::CreateConfig(b, topic, vector_of(b, e.bytes)).Union()};
}
event_body build(FlatBufferBuilder& b, const message_event& e) {
  const auto topic = b.CreateString(e.topic);
  return {fb::EventBody_MessageReceived, fb::CreateMessageReceived(b, topic, vector_of(b, e.bytes)).Union()};
}
event_body build(FlatBufferBuilder& b, const rpc_event& e) {
  const auto method = b.CreateString(e.method);
  const auto params = b.CreateString(e.params);
  return {fb::EventBody_RpcRequest, fb::CreateRpcRequest(b, e.id, method, params).Union()};
}
event_body build(FlatBufferBuilder& b, const earlier_event& e) {
  const auto name = b.CreateString(e.remote_name);
  return {fb::EventBody_EarlierOutcome,
          fb::CreateEarlierOutcome(b, e.operation, e.op, name, e.result, e.error, e.http_status).Union()};
}
event_body build(FlatBufferBuilder& b, const progress_event& e) {
  return {fb::EventBody_BlobProgress, fb::CreateBlobProgress(b, e.operation, e.moved, e.total).Union()};
}
event_body build(FlatBufferBuilder& b, const exit_event&) { return {fb::EventBody_Exit, fb::CreateExit(b).Union()}; }

}  // namespace

result<request> decode_request(std::string_view data) {
  const auto* at = reinterpret_cast<const std::uint8_t*>(data.data());
  flatbuffers::Verifier v(at, data.size(), max_depth, max_tables);
  if (!v.VerifyBuffer<fb::Request>(nullptr)) return refuse("no message of the protocol");
  const auto* r = flatbuffers::GetRoot<fb::Request>(at);
  if (!r->body()) return refuse("a request without a body");
  switch (r->body_type()) {
    case fb::RequestBody_GetEvent: {
      const auto* b = r->body_as_GetEvent();
      return get_event{b->timeout_sec(), b->timeout_nsec(), numbers(b->acknowledged()), b->outcomes(), b->progress()};
    }
    case fb::RequestBody_StateInput: {
      const auto* b = r->body_as_StateInput();
      return send_state{text(b->topic()), bytes(b->blob()), {b->cb(), b->user()}};
    }
    case fb::RequestBody_RequestResendConfig: return resend_configuration{};
    case fb::RequestBody_BlobInput: return read_blob(*r->body_as_BlobInput());
    case fb::RequestBody_TelemetryInput: return read_telemetry(*r->body_as_TelemetryInput());
    case fb::RequestBody_MessageSentInput: {
      const auto* b = r->body_as_MessageSentInput();
      return send_message{text(b->topic()), bytes(b->blob()), {b->cb(), b->user()}};
    }
    case fb::RequestBody_RpcResponseInput: {
      const auto* b = r->body_as_RpcResponseInput();
      rpc_answer out{b->id(), std::nullopt, b->status(), {b->cb(), b->user()}};
      if (b->response()) out.response = b->response()->str();
      return out;
    }
    case fb::RequestBody_StreamParamsRequest: return stream_parameters{};
    default: return refuse("unknown kind of request");
  }
}

std::string encode(const event& e) {
  FlatBufferBuilder b;
  const auto body = std::visit([&](const auto& x) { return build(b, x); }, e);
  return finish(b, fb::ResponseBody_Event, fb::CreateEvent(b, body.type, body.offset));
}

std::string encode_no_event() {
  FlatBufferBuilder b;
  return finish(b, fb::ResponseBody_Event, fb::CreateEvent(b));
}

std::string encode_simple(answer a, std::uint64_t operation) {
  FlatBufferBuilder b;
  return finish(b, fb::ResponseBody_Simple, fb::CreateSimple(b, std::uint32_t(a), operation));
}

std::string encode_stream_parameters(answer a) {
  FlatBufferBuilder b;
  return finish(b, fb::ResponseBody_StreamParamsResponse, fb::CreateStreamParamsResponse(b, std::uint32_t(a)));
}

}  // namespace evp::runtime::socket
