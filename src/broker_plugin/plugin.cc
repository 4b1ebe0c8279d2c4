// The mosquitto plugin: translates the broker's events into questions to the registry and the topic rules.
//
// The broker runs all of it on its one thread. Order on a publish: ACL check of the original topic, $CONTROL, MESSAGE
// callback (here the topic is rewritten), routing, ACL check of each receiver.
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <openssl/x509.h>

#include <cstring>
#include <memory>

#include "base/names.h"
#include "broker_plugin/registry.h"
#include "broker_plugin/topics.h"
#include "io/files.h"

namespace evp::broker_plugin {
namespace {

namespace control = mqtt::control;

constexpr int presence_qos = 1;

struct plugin {
  explicit plugin(secret password) : devices(std::move(password), first_session()) {}
  // Microseconds of Unix time: sessions begin more slowly.
  static std::uint64_t first_session() {
    using std::chrono::duration_cast, std::chrono::microseconds, std::chrono::system_clock;
    return std::uint64_t(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
  }
  registry devices;
};

plugin& from(void* userdata) { return *static_cast<plugin*>(userdata); }

void log(int level, const std::string& text) { mosquitto_log_printf(level, "evp: %s", text.c_str()); }

// Text from outside must not break the log's lines.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  text.resize(std::min<std::size_t>(text.size(), 200));
  return text;
}

std::optional<std::string> text_or_nothing(const char* text) {
  if (!text) return std::nullopt;
  return text;
}

// The common name of a certificate; empty, which admits nobody: it has none, or several.
std::string common_name(const X509* certificate) {
  auto* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  const bool several = at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0;
  if (at < 0 || several) return "";
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return "";
  std::string name(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return name;
}

// Notes the certificate with which the client has authenticated itself, if it has.
void add_certificate(login& l, const mosquitto* client) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      static_cast<X509*>(mosquitto_client_certificate(client)), X509_free);
  if (!certificate) return;
  l.certificate_id = certificate_id(certificate.get());
  l.certificate_name = l.certificate_id.empty() ? "" : common_name(certificate.get());
}

// Queued by the broker and sent in its next turn. client null: to all that subscribe.
void send(const std::string* client, const std::string& topic, std::string_view payload, int qos,
          const mosquitto_property* properties = nullptr) {
  void* bytes = nullptr;
  if (!payload.empty()) {
    bytes = mosquitto_malloc(payload.size());
    if (!bytes) return log(MOSQ_LOG_ERR, "out of memory: a message is lost");
    std::memcpy(bytes, payload.data(), payload.size());
  }
  mosquitto_property* copy = nullptr;
  if (properties && mosquitto_property_copy_all(&copy, properties) != MOSQ_ERR_SUCCESS) copy = nullptr;
  const int rc = mosquitto_broker_publish(client ? client->c_str() : nullptr, topic.c_str(),
                                          static_cast<int>(payload.size()), bytes, qos, false, copy);
  if (rc == MOSQ_ERR_SUCCESS) return;  // the broker owns bytes and properties now
  mosquitto_free(bytes);
  mosquitto_property_free_all(&copy);
  log(MOSQ_LOG_ERR, "a message could not be queued");
}

void tell_presence(const std::string* client, const session& s, bool online) {
  const auto age = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - s.began);
  const control::presence p{online, s.number, online ? age : milliseconds(0)};
  send(client, std::string(control::presence_prefix) + s.device, encode(p), presence_qos);
}

void kick(const std::vector<std::string>& clients) {
  for (const auto& client : clients) mosquitto_kick_client_by_clientid(client.c_str(), false);
}

int on_connect(int, void* event_data, void* userdata) {
  const auto& event = *static_cast<mosquitto_evt_basic_auth*>(event_data);
  auto& self = from(userdata);
  const char* client_id = mosquitto_client_id(event.client);
  login l{event.client,
          client_id ? client_id : "",
          std::nullopt,
          text_or_nothing(event.username),
          text_or_nothing(event.password),
          mosquitto_client_clean_session(event.client),
          std::chrono::steady_clock::now()};
  add_certificate(l, event.client);
  const auto answer = self.devices.admit(l);
  if (l.password) OPENSSL_cleanse(l.password->data(), l.password->size());
  for (const auto& ended : answer.offline) tell_presence(nullptr, ended, false);
  if (!answer.who) {
    log(MOSQ_LOG_NOTICE, "refused: " + printable(answer.who.error().message()));
    return MOSQ_ERR_AUTH;
  }
  kick(answer.kick);
  if (answer.is_new) tell_presence(nullptr, *answer.who, true);
  return MOSQ_ERR_SUCCESS;
}

int on_disconnect(int, void* event_data, void* userdata) {
  const auto& event = *static_cast<mosquitto_evt_disconnect*>(event_data);
  if (const auto ended = from(userdata).devices.left(event.client)) tell_presence(nullptr, *ended, false);
  return MOSQ_ERR_SUCCESS;
}

bool allowed(const session& s, int access, std::string_view topic) {
  if (s.is_observer()) {
    if (access == MOSQ_ACL_SUBSCRIBE) return observer_may_subscribe(topic);
    if (access == MOSQ_ACL_READ) return observer_may_receive(topic);
    return access != MOSQ_ACL_WRITE;
  }
  switch (access) {
    case MOSQ_ACL_WRITE: return s.is_backend() ? backend_may_publish(topic) : device_may_publish(topic);
    case MOSQ_ACL_SUBSCRIBE: return s.is_backend() ? backend_may_subscribe(topic) : device_may_subscribe(topic);
    case MOSQ_ACL_READ: return s.is_backend() ? backend_may_receive(topic) : device_may_receive(topic);
    default: return true;  // unsubscribing
  }
}

// A connection that has ended is nobody: so its will, also a delayed one, and also one set free by a take-over, dies
// here. Wills would be routed as they are, without passing on_message.
int on_access(int, void* event_data, void* userdata) {
  const auto& event = *static_cast<mosquitto_evt_acl_check*>(event_data);
  const auto* s = from(userdata).devices.find(event.client);
  return s && allowed(*s, event.access, event.topic) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

// Gives the event a new topic. Up to 2.0.14 the plugin frees the old one, from 2.0.15 on the broker does.
bool rename(mosquitto_evt_message& event, const std::string& topic) {
  char* copy = mosquitto_strdup(topic.c_str());
  if (!copy) return false;
#if LIBMOSQUITTO_VERSION_NUMBER < 2000015
  mosquitto_free(event.topic);
#endif
  event.topic = copy;
  return true;
}

int on_message(int, void* event_data, void* userdata) {
  auto& event = *static_cast<mosquitto_evt_message*>(event_data);
  const auto& devices = from(userdata).devices;
  const auto* s = devices.find(event.client);
  if (!s || s->is_observer()) return MOSQ_ERR_ACL_DENIED;
  event.retain = false;  // nothing is ever kept for a later subscriber: desired state lives in the backend
  if (!s->is_backend()) {
    const auto topic = upstream(s->device, event.topic);
    return topic && rename(event, *topic) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
  }
  const auto to = downstream(event.topic);
  if (!to) return MOSQ_ERR_SUCCESS;
  if (const auto* client = devices.client_of(to->device)) {
    const std::string_view payload(static_cast<const char*>(event.payload), event.payloadlen);
    send(client, std::string(to->topic), payload, event.qos, event.properties);
  }
  return MOSQ_ERR_SUCCESS;
}

int on_control(int, void* event_data, void* userdata) {
  const auto& event = *static_cast<mosquitto_evt_control*>(event_data);
  auto& devices = from(userdata).devices;
  const auto* sender = devices.find(event.client);
  if (!sender || !sender->is_backend()) return MOSQ_ERR_ACL_DENIED;
  const std::string client = sender->client_id;
  const auto batch = control::decode({static_cast<const char*>(event.payload), event.payloadlen});
  control::acknowledgement ack;
  if (batch)
    ack.number = batch->number;
  else
    ack.problem = batch.error().message();
  if (batch) {
    for (const auto& command : batch->commands) {
      const auto leaving = devices.apply(event.client, command);
      if (leaving)
        kick(*leaving);
      else
        ack.problem = leaving.error().message();
      if (!std::holds_alternative<control::replace_end>(command)) continue;
      for (const auto* s : devices.online()) tell_presence(&client, *s, true);
    }
  }
  if (!ack.problem.empty()) log(MOSQ_LOG_ERR, "batch not applied: " + ack.problem);
  send(&client, std::string(control::ack_topic), encode(ack), 1);
  return MOSQ_ERR_SUCCESS;
}

result<secret> read_password(const mosquitto_opt* options, int count) {
  constexpr std::size_t password_max = 1024;
  for (int i = 0; i < count; ++i) {
    if (std::strcmp(options[i].key, "backend_password_file") != 0) continue;
    TRY(auto text, io::read_file(options[i].value, password_max));
    while (text.ends_with('\n')) text.pop_back();
    if (text.size() < 32)
      return fail(errc::invalid_argument, "the backend's password must have at least 32 characters");
    return secret(std::move(text));
  }
  return fail(errc::invalid_argument, "plugin_opt_backend_password_file is missing");
}

}  // namespace
}  // namespace evp::broker_plugin

using namespace evp::broker_plugin;

#define EVP_EXPORTED __attribute__((visibility("default")))
extern "C" {

EVP_EXPORTED int mosquitto_plugin_version(int count, const int* versions) {
  for (int i = 0; i < count; ++i)
    if (versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
  return -1;
}

EVP_EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t* id, void** userdata, mosquitto_opt* options, int count) {
  auto password = read_password(options, count);
  if (!password) {
    log(MOSQ_LOG_ERR, password.error().message());
    return MOSQ_ERR_INVAL;
  }
  auto self = std::make_unique<plugin>(std::move(*password));
  const struct {
    int event;
    MOSQ_FUNC_generic_callback callback;
    const char* data;
  } wanted[] = {{MOSQ_EVT_BASIC_AUTH, on_connect, nullptr},
                {MOSQ_EVT_DISCONNECT, on_disconnect, nullptr},
                {MOSQ_EVT_ACL_CHECK, on_access, nullptr},
                {MOSQ_EVT_MESSAGE, on_message, nullptr},
                {MOSQ_EVT_CONTROL, on_control, "$CONTROL/evp/v1"}};
  for (const auto& w : wanted) {
    const int rc = mosquitto_callback_register(id, w.event, w.callback, w.data, self.get());
    if (rc != MOSQ_ERR_SUCCESS) return rc;
  }
  *userdata = self.release();
  return MOSQ_ERR_SUCCESS;
}

EVP_EXPORTED int mosquitto_plugin_cleanup(void* userdata, mosquitto_opt*, int) {
  delete static_cast<plugin*>(userdata);  // the broker has dropped the callbacks with the plugin
  return MOSQ_ERR_SUCCESS;
}
}
