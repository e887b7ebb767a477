//! A client and a coordinator that send whatever bytes they like. Main type: [`Raw`].

use std::path::Path;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PutResult, Ticket,
};
use futures::TryStreamExt;
use hedgerow_engine::{BundleRequest, OnUnavailable, WireError};
use hedgerow_flight::from_status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::world::{PASSWORD, USER, World};

/// A connection with a token.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) client: FlightServiceClient<Channel>,
    pub(crate) token: String,
}

fn wire(status: Status) -> WireError {
    from_status(&status)
}

impl Raw {
    pub(crate) async fn connect(world: &World, server: &str) -> Self {
        Self::connect_to(&world.url_of(server), &world.tls().authority).await
    }

    pub(crate) async fn connect_to(url: &str, authority: &Path) -> Self {
        let authority = std::fs::read(authority).unwrap();
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap().tls_config(tls).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let client = FlightServiceClient::new(channel)
            .max_encoding_message_size(usize::MAX)
            .max_decoding_message_size(usize::MAX);
        let mut raw = Self { client, token: String::new() };
        let basic = [field(2, USER.as_bytes()), field(3, PASSWORD.as_bytes())].concat();
        raw.token = raw.handshake(basic).await.unwrap();
        raw
    }

    /// Logs in with any payload; returns the token.
    pub(crate) async fn handshake(&mut self, payload: Vec<u8>) -> Result<String, WireError> {
        let request = HandshakeRequest { protocol_version: 0, payload: payload.into() };
        let answer = self.client.handshake(futures::stream::iter([request])).await;
        let first = answer.map_err(wire)?.into_inner().message().await.map_err(wire)?.unwrap();
        Ok(String::from_utf8(first.payload.to_vec()).unwrap())
    }

    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }

    /// Sends any ticket and collects every message of the answer.
    pub(crate) async fn get(&mut self, ticket: Vec<u8>) -> Result<Vec<FlightData>, WireError> {
        let request = self.request(Ticket::new(ticket));
        let stream = self.client.do_get(request).await.map_err(wire)?.into_inner();
        stream.try_collect().await.map_err(wire)
    }

    /// Sends any command.
    pub(crate) async fn info(&mut self, command: Vec<u8>) -> Result<FlightInfo, WireError> {
        let request = self.request(FlightDescriptor::new_cmd(command));
        self.client.get_flight_info(request).await.map(|info| info.into_inner()).map_err(wire)
    }

    /// Sends any action and collects the bodies of its results.
    pub(crate) async fn act(
        &mut self,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<Vec<Vec<u8>>, WireError> {
        let request = self.request(Action::new(kind, body));
        let results = self.client.do_action(request).await.map_err(wire)?.into_inner();
        results.map_ok(|result| result.body.to_vec()).try_collect().await.map_err(wire)
    }

    /// Uploads any messages.
    pub(crate) async fn put(&mut self, sent: Vec<FlightData>) -> Result<Vec<PutResult>, WireError> {
        let request = self.request(futures::stream::iter(sent));
        let results = self.client.do_put(request).await.map_err(wire)?.into_inner();
        results.try_collect().await.map_err(wire)
    }

    /// Asks a coordinator a statement, with its companions, and collects every message of the answer.
    pub(crate) async fn statement(&mut self, sql: &str) -> Result<Vec<FlightData>, WireError> {
        let type_url = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery";
        let command = any(type_url, &field(1, sql.as_bytes()));
        let mut request = self.request(FlightDescriptor::new_cmd(command));
        request.metadata_mut().insert("hedgerow-companions", "1".parse().unwrap());
        let info = self.client.get_flight_info(request).await.map_err(wire)?.into_inner();
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        self.get(ticket.unwrap().ticket.to_vec()).await
    }

    /// Asks a node one fragment.
    pub(crate) async fn ask(&mut self, fragment: &str) -> Result<Vec<FlightData>, WireError> {
        self.get(ticket(hedgerow_engine::BUNDLE_VERSION, &[fragment.to_owned()], None)).await
    }

    /// SQLSTATE and rule with which a node turns a fragment down.
    pub(crate) async fn refusal(&mut self, fragment: &str) -> String {
        match self.ask(fragment).await {
            Ok(_) => panic!("the node answers {fragment}"),
            Err(error) => format!("{} {}", error.sqlstate, error.rule.unwrap_or_default()),
        }
    }
}

/// A length-delimited field of a protobuf message.
pub(crate) fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = vec![];
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub(crate) fn any(type_url: &str, value: &[u8]) -> Vec<u8> {
    [field(1, type_url.as_bytes()), field(2, value)].concat()
}

/// Type of a bundle in its ticket.
pub(crate) const BUNDLE: &str = "type.googleapis.com/hedgerow.v1.Bundle";

/// A bundle ticket, with the hash of its fragments or another.
pub(crate) fn ticket(version: u32, fragments: &[String], hash: Option<&str>) -> Vec<u8> {
    any(BUNDLE, &bundle(version, fragments, hash))
}

/// The bundle inside.
pub(crate) fn bundle(version: u32, fragments: &[String], hash: Option<&str>) -> Vec<u8> {
    let request = BundleRequest {
        version,
        statement_id: "hostile-1".to_owned(),
        fragments: fragments.to_vec(),
        statement: "SELECT 1".to_owned(),
        user: "somebody".to_owned(),
        purpose: None,
        user_token: None,
        client_signature: None,
        on_unavailable: OnUnavailable::Fail,
        under: None,
    };
    let mut bundle = vec![1 << 3];
    bundle.extend(varint(u64::from(version)));
    bundle.extend(field(2, request.statement_id.as_bytes()));
    bundle.extend(field(3, hash.unwrap_or(&request.hash()).as_bytes()));
    for fragment in fragments {
        bundle.extend(field(4, fragment.as_bytes()));
    }
    bundle.extend(field(5, request.statement.as_bytes()));
    bundle.extend(field(6, request.user.as_bytes()));
    bundle
}
