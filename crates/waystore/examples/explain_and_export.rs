//! Why was it a miss? And how does a cache get from one machine to another?
//!
//! `cargo run -p waystore --example explain_and_export`

use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use waystore::{
    Body, BodyError, Cache, CacheQueryOptions, CacheStorage, EntryRange, Request, Response, Verdict, Waystore,
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?; // of your own
    let caches = Waystore::open(dir.path().join("here")).await?.caches("https://shop.example")?;
    let cache = caches.open("pages").await?;
    fill(&cache).await?;

    explain(&cache, Request::get("https://shop.example/pots")?.header("accept-language", "fr")).await?;
    explain(&cache, Request::get("https://shop.example/cups")?).await?;

    let file = dir.path().join("pages.waystore");
    export(&cache, &file).await?;
    let elsewhere = Waystore::open(dir.path().join("there")).await?.caches("https://shop.example")?;
    assert_eq!(import(&elsewhere, &file).await?, 3);
    list(&elsewhere.open("pages").await?).await
}

async fn fill(cache: &Cache) -> Result<()> {
    for (language, text) in [("en", "Pots"), ("de", "Kannen")] {
        let request = Request::get("https://shop.example/pots")?.header("accept-language", language);
        cache.put(request, Response::new(text).header("vary", "accept-language")).await?;
    }
    cache.put("/cups?colour=blue", Response::new("A blue cup")).await?;
    Ok(())
}

/// Says of every entry that came near which rule decided on it.
async fn explain(cache: &Cache, request: Request) -> Result<()> {
    let explanation = cache.explain(&request, CacheQueryOptions::default()).await?;
    let outcome = if explanation.answer.is_some() { "a hit" } else { "a miss" };
    println!("{} is {outcome}:", request.url);
    for considered in &explanation.considered {
        let why = match &considered.verdict {
            Verdict::Matches => "matches".to_owned(),
            Verdict::Query => "has another query; `ignore_search` would find it".to_owned(),
            Verdict::Vary { name, stored, asked } => {
                format!("varies by `{name}`: {} was stored, {} is asked for", quoted(stored), quoted(asked))
            }
            other => format!("{other:?}"),
        };
        println!("  {} {why}", considered.request.url);
    }
    Ok(())
}

fn quoted(value: &Option<String>) -> String {
    value.as_ref().map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"))
}

/// Writes the whole cache to one file, a chunk at a time.
async fn export(cache: &Cache, file: &Path) -> Result<()> {
    let mut file = tokio::fs::File::create(file).await?;
    let mut bytes = cache.export();
    while let Some(chunk) = futures::StreamExt::next(&mut bytes).await {
        file.write_all(&chunk?).await?;
    }
    Ok(file.sync_all().await?)
}

/// Reads it into another store. Nothing is seen of it until all of it is there.
async fn import(caches: &CacheStorage, file: &Path) -> Result<u64> {
    let chunks = ReaderStream::new(tokio::fs::File::open(file).await?);
    let bytes = Body::from_stream(futures::TryStreamExt::map_err(chunks, BodyError::failed), None);
    Ok(caches.import("pages", bytes).await?)
}

/// Walks over a cache of any size in little memory.
async fn list(cache: &Cache) -> Result<()> {
    let mut entries = cache.entries(&EntryRange::all())?;
    while let Some(entry) = entries.next().await? {
        println!("{:>6} bytes  {}", entry.body_length().unwrap_or_default(), entry.url());
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
