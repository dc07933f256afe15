"""A day of activations through one layer, with Apache Airflow.

Not run by this project's tests, which only compile it. It needs the provider apache-airflow-providers-apache-spark
and a connection "spark_default" that names the master. Client mode: only there the exit code is that of the command.

A task that is tried again goes on where it was interrupted, and does nothing for a day that is there (--resume); a day
whose input, model or options have changed is computed again and replaced (--overwrite).
"""

import re
from datetime import datetime, timedelta

from airflow import DAG
from airflow.exceptions import AirflowFailException
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

JAR = "/opt/spark-moe/spark-moe.jar"
DAY = "{{ ds }}"


class MoeOperator(SparkSubmitOperator):
    """Runs a command of Spark MoE; fails for good where trying again does not help."""

    def execute(self, context):
        try:
            return super().execute(context)
        except Exception as e:
            # spark-submit's message ends in "Error code is: N.": 2 is wrong input, 3 needs a person to look
            if re.search(r"Error code is: [23]\b", str(e)):
                raise AirflowFailException(str(e)) from e
            raise


def moe(task_id, *arguments):
    return MoeOperator(
        task_id=task_id,
        conn_id="spark_default",
        application=JAR,
        java_class="org.sparkmoe.job.Main",
        deploy_mode="client",
        application_args=list(arguments),
    )


with DAG(
    dag_id="moe_layer_3",
    schedule="@daily",
    start_date=datetime(2026, 11, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    layer = (
        "--model=/models/OLMoE-1B-7B",
        "--layer=3",
        f"--input=/data/activations/day={DAY}",
        f"--output=/data/runs/day={DAY}",
        "--resume",
        "--overwrite",
    )
    moe("check", "run", *layer, "--dry-run") >> moe("run", "run", *layer)
