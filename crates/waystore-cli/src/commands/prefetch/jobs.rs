//! `waystore prefetch --jobs` and `--stop`: what a gateway fetches ahead just now.

use std::io::Write;

use crate::{
    caches::{Answer, Part, Question, Record},
    commands::{
        cache::{
            Stop,
            columns::{age, printable, size, widths},
            place::Place,
            unexpected,
        },
        json::write_json,
    },
    prefetching::JobStatus,
    talk::tell,
};

/// Lists the jobs that run or wait.
pub(super) async fn list(place: &Place, json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let reach = place.look().await?;
    let now_ms = reach.now_ms();
    let mut answer = place.ask(reach, Question::Prefetches, None).await?;
    let mut jobs = Vec::new();
    while let Some(record) = next(&mut answer).await? {
        let Record::Job(job) = record else { return Err(unexpected().into()) };
        jobs.push(job);
    }
    if json {
        return Ok(write_json(&jobs, out)?);
    }
    if jobs.is_empty() {
        tell!("nothing is under way");
        return Ok(());
    }
    write_table(&jobs, now_ms, out)
}

/// Stops a job.
pub(super) async fn stop(place: &Place, job: &str) -> Result<(), Stop> {
    let reach = place.look().await?;
    let mut answer = place.ask(reach, Question::Stop { job: job.to_owned() }, None).await?;
    match next(&mut answer).await? {
        Some(Record::Stopped(job)) => tell!("stopped {}; what it stored stays", printable(&job)),
        _ => return Err(unexpected().into()),
    }
    Ok(())
}

async fn next(answer: &mut Answer) -> Result<Option<Record>, Stop> {
    match answer.next().await? {
        Some(Part::Record(record)) => Ok(Some(*record)),
        Some(Part::Bytes(_)) => Err(unexpected().into()),
        None => Ok(None),
    }
}

fn write_table(jobs: &[JobStatus], now_ms: u64, out: &mut dyn Write) -> Result<(), Stop> {
    let mut lines = vec![["JOB", "CACHE", "BEGUN", "DONE", "OF", "SIZE", "DURABLE"].map(str::to_owned)];
    lines.extend(jobs.iter().map(|job| {
        [
            printable(&job.id),
            printable(&job.cache),
            age(job.begun_ms, now_ms),
            job.steps.done.to_string(),
            job.steps.total.to_string(),
            size(job.steps.bytes),
            if job.durable { "yes" } else { "no" }.to_owned(),
        ]
    }));
    let widths = widths(&lines);
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefetching::Steps;

    #[test]
    fn a_job_is_a_line() {
        let steps = Steps { done: 7, total: 90, bytes: 2048 };
        let job = JobStatus { id: "0a".into(), cache: "v1".into(), durable: true, begun_ms: 0, steps };
        let mut out = Vec::new();
        write_table(&[job], 61_000, &mut out).map_err(|_| ()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "JOB  CACHE  BEGUN  DONE  OF  SIZE     DURABLE\n0a   v1     1 min  7     90  2.0 KiB  yes\n"
        );
    }
}
