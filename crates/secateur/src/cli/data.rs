//! Options of commands that take data.

use std::path::PathBuf;

use secateur_data::{Preparation, Recipe};
use secateur_diag::Result;

/// How stored samples become what the model wants.
#[derive(clap::Args, Clone, Default)]
pub struct Preparing {
    /// Factor of the stored numbers, e.g. 1/255.
    #[arg(long, value_name = "FACTOR")]
    scale: Option<String>,
    /// Subtracted after scaling, one for all channels or one each, e.g. 0.485,0.456,0.406.
    #[arg(long, value_name = "LIST")]
    mean: Option<String>,
    /// Divided by after that, e.g. 0.229,0.224,0.225.
    #[arg(long, value_name = "LIST")]
    std: Option<String>,
    /// The axis of the data that lists of mean and std are along; from the end where negative.
    #[arg(long, value_name = "AXIS", default_value_t = 1)]
    channel_axis: i64,
    /// A TOML file with scale, mean, std and axis, at its top or in [input.NAME].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scale", "mean", "std", "channel_axis"])]
    recipe: Option<PathBuf>,
}

impl Preparing {
    /// The file that the preparation is in, where it is in one.
    pub fn file(&self) -> Option<&PathBuf> {
        self.recipe.as_ref()
    }

    /// The preparation of every input.
    ///
    /// # Errors
    /// D003.
    pub fn recipe(&self) -> Result<Recipe> {
        match &self.recipe {
            Some(path) => Recipe::open(path),
            None => {
                let text = |t: &Option<String>, or: &str| t.clone().unwrap_or_else(|| or.to_owned());
                let p = Preparation::parse(
                    &text(&self.scale, "1"),
                    &text(&self.mean, "0"),
                    &text(&self.std, "1"),
                )?;
                Ok(Recipe::from(p.along(self.channel_axis)?))
            }
        }
    }
}
