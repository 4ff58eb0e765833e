//! Jobs: due or asked for, one run at a time, results kept, nothing wedged.

use std::{collections::BTreeSet, time::Duration};

use qpq_core::{ErrorCode, Millis};
use qpq_storage::{Ban, BanSubject};
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::JOBS;
use crate::{Caller, fixture::Home};

fn started(home: &Home) -> (TaskTracker, CancellationToken) {
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    for job in &JOBS {
        let (jobs, stopping) = (home.actions.jobs().clone(), stopping.clone());
        drop(tasks.spawn(async move { jobs.drive(job, stopping).await }));
    }
    tasks.close();
    (tasks, stopping)
}

async fn stored(home: &Home, job: &str) -> Option<qpq_storage::JobRun> {
    let runs = home.ground.read().await.unwrap().job_runs().await.unwrap();
    runs.into_iter().find(|run| run.job == job)
}

#[test]
fn every_job_has_a_name_of_its_own_and_words() {
    let names: BTreeSet<&str> = JOBS.iter().map(|job| job.id).collect();
    assert_eq!(names.len(), JOBS.len());
    for job in &JOBS {
        assert!(job.about.ends_with('.') && job.schedule.split(' ').count() == 6, "{job:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_at_the_start_when_it_is_due_and_when_somebody_asks() {
    let home = Home::open();
    let (tasks, stopping) = started(&home);
    for job in &JOBS {
        let view = home.actions.jobs().run_now(job.id).await.unwrap();
        assert_eq!(view.last_ok, Some(true), "{view:?}");
        assert!(stored(&home, job.id).await.is_some_and(|run| run.ok), "{}", job.id);
    }
    let unknown = home.actions.jobs().run_now("dance").await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::NotFound);
    let listed = home
        .actions
        .perform_value(&Caller::job("test", home.actions.new_request()), "job.list", json!({}))
        .await
        .unwrap();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), JOBS.len());
    assert!(listed["jobs"][0]["last_result"].is_string());
    stopping.cancel();
    tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_always_due_stores_what_is_new_and_else_once_a_minute() {
    let home = Home::open();
    let (tasks, stopping) = started(&home);
    let jobs = home.actions.jobs();
    jobs.run_now("lift-bans").await.unwrap();
    let first = stored(&home, "lift-bans").await.unwrap();
    for _ in 0..20 {
        home.wait(Millis(1_000));
        tokio::time::advance(Duration::from_secs(1)).await;
        jobs.run_now("lift-bans").await.unwrap();
    }
    assert_eq!(stored(&home, "lift-bans").await.unwrap(), first);
    tokio::time::advance(Duration::from_mins(1)).await;
    jobs.run_now("lift-bans").await.unwrap();
    let second = stored(&home, "lift-bans").await.unwrap();
    assert!(second.started > first.started);
    // Something new is stored at once, also after the clock was set back.
    let ban = Ban {
        subject: BanSubject::User("bob@beta.test".parse().unwrap()),
        reason: "spam".to_owned(),
        by: "uid:0".to_owned(),
        since: home.now(),
        until: Some(home.now()),
    };
    home.writes(move |tx| {
        let ban = ban.clone();
        Box::pin(async move { tx.ban_store(&ban).await })
    })
    .await;
    jobs.run_now("lift-bans").await.unwrap();
    assert_eq!(stored(&home, "lift-bans").await.unwrap().result, "1 ban lifted");
    assert_eq!(home.audited().await, ["job:lift-bans user.unban bob@beta.test"]);
    stopping.cancel();
    tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn samples_of_the_same_five_minutes_are_one() {
    let home = Home::open();
    let (tasks, stopping) = started(&home);
    for _ in 0..3 {
        home.actions.jobs().run_now("sample").await.unwrap();
    }
    let rows = |samples: Vec<qpq_storage::Sample>| {
        samples.into_iter().filter(|sample| sample.series == "queue_rows").count()
    };
    assert_eq!(rows(home.ground.read().await.unwrap().samples().await.unwrap()), 1);
    for _ in 0..300 {
        home.wait(super::super::SAMPLE_INTERVAL);
        home.actions.jobs().run_now("sample").await.unwrap();
    }
    assert_eq!(rows(home.ground.read().await.unwrap().samples().await.unwrap()), 288);
    let status = home
        .actions
        .perform_value(&Caller::job("test", home.actions.new_request()), "status", json!({}))
        .await
        .unwrap();
    assert_eq!(status["series"][0]["points"].as_array().unwrap().len(), 288);
    assert_eq!(status["health"]["findings"], 0);
    stopping.cancel();
    tasks.wait().await;
}
