mod certificates;
mod secrets;
mod token;
