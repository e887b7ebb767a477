//! Round trips of tickets and replies, and what malformed ones meet.
#![expect(clippy::unwrap_used, reason = "test")]

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::FlightData;
use arrow_flight::sql::Any;
use futures::{StreamExt, TryStreamExt, stream};
use hedgerow_catalog::Limits;
use hedgerow_engine::{
    BUNDLE_VERSION, BundleReply, BundleRequest, Coverage, EngineError, FragmentHeader,
    NodeCoverage, NodeOutcome, OnUnavailable, ReplyHeader, ReplyPart,
};
use prost::Message;

use super::send::encode;
use super::ticket::BundleTicket;
use super::{bundle_request, bundle_ticket, is_bundle, receive};
use crate::status::from_status;

fn request() -> BundleRequest {
    BundleRequest {
        version: BUNDLE_VERSION,
        statement_id: "s1".to_owned(),
        fragments: vec!["SELECT 1".to_owned(), "SELECT 'é'".to_owned()],
        statement: "SELECT …".to_owned(),
        user: "analyst".to_owned(),
        purpose: Some("audit".to_owned()),
        user_token: None,
        client_signature: Some(vec![0, 255]),
        on_unavailable: OnUnavailable::Exclude,
        under: Some("england/midshire".to_owned()),
    }
}

fn any_of(ticket: &BundleTicket) -> Any {
    ticket.pack()
}

#[test]
fn tickets_round_trip() {
    let ticket = bundle_ticket(&request());
    let any = Any::decode(&*ticket.ticket).unwrap();
    assert!(is_bundle(&any));
    assert_eq!(bundle_request(&any, &Limits::default()).unwrap(), request());
}

#[test]
fn malformed_tickets_are_refused() {
    let refused = |change: fn(&mut BundleTicket)| {
        let mut ticket = BundleTicket::new(&request());
        change(&mut ticket);
        bundle_request(&any_of(&ticket), &Limits::default()).unwrap_err().sqlstate
    };
    assert_eq!(refused(|t| t.bundle_hash = "0".repeat(32)), "42601");
    assert_eq!(refused(|t| t.fragments.push("SELECT 2".to_owned())), "42601");
    assert_eq!(refused(|t| t.fragments.clear()), "42601");
    assert_eq!(refused(|t| t.version += 1), "0A000");
    assert_eq!(refused(|t| t.fragments = vec!["SELECT 1".to_owned(); 65]), "53400");
    assert_eq!(refused(|t| t.fragments = vec![" ".repeat(300_000)]), "53400");
    assert_eq!(refused(|t| t.statement = " ".repeat(10_000_000)), "53400");
    assert_eq!(refused(|t| t.user = "u".repeat(300)), "53400");
    assert_eq!(refused(|t| t.on_unavailable = Some("guess".to_owned())), "42601");
    assert_eq!(refused(|t| t.under = Some("a/b/c/d/e/f/g".to_owned())), "53400");
    assert_eq!(refused(|t| t.under = Some("a/'; --".to_owned())), "42601");
    let noise = Any { type_url: bundle_type(), value: vec![0xff; 40].into() };
    assert_eq!(bundle_request(&noise, &Limits::default()).unwrap_err().sqlstate, "42601");
}

fn bundle_type() -> String {
    BundleTicket::new(&request()).pack().type_url
}

fn header(fragments: usize) -> ReplyHeader {
    ReplyHeader {
        organisation: "northmoor".to_owned(),
        release_id: "r1".to_owned(),
        bundle_hash: request().hash(),
        preset: "nhs".to_owned(),
        policy_hash: "p".to_owned(),
        snapshot: "none".to_owned(),
        fragments: vec![
            FragmentHeader {
                k: Some(10),
                hidden: Some(9),
                round_to: None,
                rounded_to: None,
                epochs: vec![]
            };
            fragments
        ],
        signature: None,
    }
}

fn numbers(values: Vec<i64>) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values))]).unwrap()
}

fn words(values: Vec<Option<&str>>) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("w", DataType::Utf8, true)]));
    RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(values))]).unwrap()
}

fn reply_of(
    schemas: Vec<SchemaRef>,
    batches: Vec<Result<(usize, RecordBatch), EngineError>>,
) -> BundleReply {
    let header = header(schemas.len());
    let part = |(fragment, batch)| ReplyPart::Rows(fragment, batch);
    let parts = batches.into_iter().map(move |batch| batch.map(part));
    BundleReply { header, schemas, parts: stream::iter(parts.collect::<Vec<_>>()).boxed() }
}

async fn messages(reply: BundleReply) -> Vec<FlightData> {
    encode(reply, 1 << 20).unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn replies_round_trip_by_fragment() {
    let (a, b) = (numbers(vec![1, 2]), words(vec![Some("x"), None]));
    let schemas = vec![a.schema(), numbers(vec![]).schema(), b.schema()];
    let sent = vec![Ok((0, a.clone())), Ok((2, b.clone())), Ok((2, b.clone()))];
    let reply = reply_of(schemas.clone(), sent);
    let stream = encode(reply, 1 << 20).unwrap();
    let reply = receive(stream, "northmoor", 3, from_status).await.unwrap();
    assert_eq!(reply.header, header(3));
    assert_eq!(reply.schemas, schemas);
    let parts: Vec<_> = reply.parts.try_collect().await.unwrap();
    assert_eq!(parts, [(0, a), (2, b.clone()), (2, b)].map(|(f, rows)| ReplyPart::Rows(f, rows)));
}

#[tokio::test]
async fn what_a_federation_says_last_comes_last() {
    let a = numbers(vec![1]);
    let mut reply = reply_of(vec![a.schema()], vec![]);
    let nodes = vec![NodeCoverage::new("midshire/northmoor", NodeOutcome::Answered)];
    let coverage = Coverage { nodes, ..Coverage::default() };
    let parts = [ReplyPart::Rows(0, a), ReplyPart::Coverage(coverage)];
    reply.parts = stream::iter(parts.clone().map(Ok)).boxed();
    let sent = messages(reply).await;
    let received = receive(stream::iter(sent.clone().into_iter().map(Ok)), "m", 1, from_status);
    let received: Vec<_> = received.await.unwrap().parts.try_collect().await.unwrap();
    assert_eq!(received, parts);
    let again = sent.iter().chain(sent.last()).cloned().map(Ok).collect::<Vec<_>>();
    let received = receive(stream::iter(again), "midshire", 1, from_status).await.unwrap();
    let error = received.parts.try_collect::<Vec<_>>().await.unwrap_err().external();
    assert!(error.message.contains("after its end"), "{error}");
}

#[tokio::test]
async fn errors_arrive_after_the_batches_before_them() {
    let a = numbers(vec![1]);
    let sent = vec![Ok((0, a.clone())), Err(EngineError::Data { what: "overflow" })];
    let stream = encode(reply_of(vec![a.schema()], sent), 1 << 20).unwrap();
    let mut reply = receive(stream, "northmoor", 1, from_status).await.unwrap();
    assert_eq!(reply.parts.next().await.unwrap().unwrap(), ReplyPart::Rows(0, a));
    let error = reply.parts.next().await.unwrap().unwrap_err().external();
    assert_eq!(error.sqlstate, "22000");
    assert_eq!(error.organisation.as_deref(), Some("northmoor"));
    assert!(reply.parts.next().await.is_none());
}

#[tokio::test]
async fn answers_of_another_form_are_refused() {
    let a = numbers(vec![1]);
    let whole = messages(reply_of(vec![a.schema()], vec![Ok((0, a.clone()))])).await;
    for (asked, kept) in [(2, 2), (1, 0)] {
        let part: Vec<_> = whole.iter().take(kept).cloned().map(Ok).collect();
        let received = receive(stream::iter(part), "northmoor", asked, from_status).await;
        let error = received.err().unwrap();
        assert_eq!(error.sqlstate, "XX000");
        assert_eq!(error.organisation.as_deref(), Some("northmoor"));
    }
    let bare = whole.iter().cloned().map(|m| Ok(m.with_app_metadata(vec![])));
    let received = receive(stream::iter(bare.collect::<Vec<_>>()), "northmoor", 1, from_status);
    assert_eq!(received.await.err().unwrap().sqlstate, "XX000");
}

#[tokio::test]
async fn no_message_has_an_empty_header() {
    let a = numbers(vec![]);
    for message in messages(reply_of(vec![a.schema(); 2], vec![Ok((0, a))])).await {
        assert!(!message.data_header.is_empty());
        assert!(!message.app_metadata.is_empty() || message.data_body.is_empty());
    }
}
