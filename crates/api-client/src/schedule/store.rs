//! Schedules as Redis keeps them: reading one, and taking it from the state that was read to the next.

use ergate_shared::{
    ScheduleName,
    key::ScheduleKeys,
    schedule::{ScheduleSpec, ScheduleState},
    script,
};

use crate::{Client, Error};

/// A schedule as it was read.
#[derive(Debug, Clone)]
pub struct KeptSchedule {
    /// Its name.
    pub name: ScheduleName,
    /// What was declared.
    pub spec: ScheduleSpec,
    /// How far it is.
    pub state: ScheduleState,
    /// Since when no worker declares it any more, in ms since the epoch.
    pub retired_at: Option<u64>,
    /// Both as they are kept, by which it is seen whether they were changed meanwhile.
    pub(super) definition: String,
    pub(super) as_read: String,
}

impl KeptSchedule {
    pub(super) fn read(
        name: ScheduleName,
        definition: String,
        as_read: String,
        retired_at: Option<u64>,
    ) -> Result<Self, Error> {
        let spec = ScheduleSpec::read(&name, &definition)?;
        let state = ScheduleState::read(&name, &as_read)?;
        Ok(Self { name, spec, state, retired_at, definition, as_read })
    }

    /// The same schedule in another state.
    #[must_use]
    pub fn in_state(&self, state: ScheduleState) -> Self {
        Self { as_read: state.write(), state, ..self.clone() }
    }
}

/// Names asked for by one call.
const AT_ONCE: usize = 500;

impl Client {
    pub(crate) fn schedule_keys(&self) -> ScheduleKeys {
        ScheduleKeys::new(self.namespace())
    }

    /// What is kept about schedules, and what time it is for Redis. What cannot be read comes as an error.
    pub(super) async fn read_schedules(
        &self,
        names: &[ScheduleName],
    ) -> Result<(u64, Vec<Option<Result<KeptSchedule, Error>>>), Error> {
        let keys = self.schedule_keys();
        let (mut now, mut all) = (0, Vec::with_capacity(names.len()));
        for names in names.chunks(AT_ONCE) {
            let mut call = script::SCHEDULE_READ.on_schedules(&keys).arg("");
            for name in names {
                call.push(name.as_str());
            }
            let found: Vec<Option<(String, String, String)>>;
            (now, found) = self.redis().run(&call).await?;
            all.extend(names.iter().zip(found).map(|(name, found)| {
                let (definition, state, retired_at) = found?;
                let retired_at = retired_at.parse::<f64>().ok().map(|at| at as u64);
                Some(KeptSchedule::read(name.clone(), definition, state, retired_at))
            }));
        }
        Ok((now, all))
    }

    pub(super) async fn read_schedule(
        &self,
        name: &ScheduleName,
    ) -> Result<(u64, Option<KeptSchedule>), Error> {
        let (now, mut found) = self.read_schedules(std::slice::from_ref(name)).await?;
        Ok((now, found.pop().flatten().transpose()?))
    }

    /// Takes schedules from what was read to their next states; false for each that was changed meanwhile.
    ///
    /// # Errors
    /// Errors of the connection: the same call may be made again.
    pub async fn step_schedules(
        &self,
        steps: &[(&KeptSchedule, &ScheduleState)],
        now: u64,
    ) -> Result<Vec<bool>, Error> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = script::SCHEDULE_STEP.on_schedules(&self.schedule_keys());
        for (kept, state) in steps {
            let look_at = state.due(&kept.name, &kept.spec, now);
            call.push(kept.name.as_str());
            call.push(&kept.as_read);
            call.push(state.write());
            call.push(look_at.map(|at| at.to_string()).unwrap_or_default());
        }
        let codes: Vec<String> = self.redis().run(&call).await?;
        Ok(codes.into_iter().map(|code| code == "ok").collect())
    }
}
